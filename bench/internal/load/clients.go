package load

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/mark"
	"golang.org/x/sys/unix"
)

// patience is how long a request waits for its reply before it is sent again.
const patience = 100 * time.Millisecond

// request is one that is in flight. Its number is its slot plus a multiple of the depth.
type request struct {
	seq uint64
	at  time.Time
}

// clients keep depth requests each in flight at an echo server. All clients share one thread and
// one epoll, and a client's replies of one turn are answered by one sendmmsg of new requests.
type clients struct {
	counts  *child.Counts
	fds     []int
	depth   int
	flight  []request // depth per client
	in, out *batch
	epoll   int

	recording atomic.Bool
	resent    atomic.Uint64
	hist      mark.Histogram
}

func newClients(a *child.Args, counts *child.Counts, fds []int) (*clients, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	for i, fd := range fds {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)} // the index; nothing else needs the fd
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return nil, err
		}
	}
	c := &clients{
		counts: counts, fds: fds, depth: a.Depth, epoll: epoll,
		flight: make([]request, len(fds)*a.Depth),
		in:     newBatch(a.Depth, a.Size), out: newBatch(a.Depth, a.Size),
	}
	return c, nil
}

func (c *clients) record() { c.recording.Store(true) }

func (c *clients) loop() error {
	now := time.Now()
	for i := range c.fds {
		for slot := range c.depth {
			c.flight[i*c.depth+slot] = request{seq: uint64(slot), at: now}
			binary.LittleEndian.PutUint64(c.out.bufs[slot], uint64(slot))
		}
		c.send(i, c.depth)
	}
	events := make([]unix.EpollEvent, 256)
	swept := now
	for !c.counts.Stopped() {
		n, err := unix.EpollWait(c.epoll, events, int(patience/4/time.Millisecond))
		if err != nil && err != unix.EINTR {
			return err
		}
		var replies uint64
		for _, ev := range events[:max(n, 0)] {
			replies += c.turn(int(ev.Fd))
		}
		c.counts.AddReceived(replies)
		if now := time.Now(); now.Sub(swept) > patience/4 {
			c.sweep(now)
			swept = now
		}
	}
	return nil
}

// turn takes client i's replies and sends a new request for each.
func (c *clients) turn(i int) uint64 {
	n, errno := c.in.recv(c.fds[i])
	if errno != 0 {
		return 0 // nothing there, or an ICMP error that the sweep will cure
	}
	now := time.Now()
	flight := c.flight[i*c.depth : (i+1)*c.depth]
	fresh := 0
	for k := range n {
		p := c.in.payload(k)
		if len(p) != len(c.out.bufs[0]) {
			c.counts.AddBad(1)
			continue
		}
		seq := binary.LittleEndian.Uint64(p)
		r := &flight[seq%uint64(c.depth)]
		if r.seq != seq {
			continue // the request was sent again meanwhile
		}
		if c.recording.Load() {
			c.hist.Record(now.Sub(r.at))
		}
		c.renew(r, fresh, now)
		fresh++
	}
	c.send(i, fresh)
	return uint64(fresh)
}

// renew puts the next request of r's slot into message k.
func (c *clients) renew(r *request, k int, now time.Time) {
	r.seq += uint64(c.depth)
	r.at = now
	binary.LittleEndian.PutUint64(c.out.bufs[k], r.seq)
}

// send sends the first n messages for client i. What the kernel refuses is sent by a later sweep.
func (c *clients) send(i, n int) {
	if n > 0 {
		sent, _ := c.out.send(c.fds[i], n)
		c.counts.AddSent(uint64(sent))
	}
}

// sweep sends again what has waited too long.
func (c *clients) sweep(now time.Time) {
	for i := range c.fds {
		n := 0
		flight := c.flight[i*c.depth : (i+1)*c.depth]
		for s := range flight {
			if now.Sub(flight[s].at) > patience {
				c.renew(&flight[s], n, now)
				n++
			}
		}
		c.send(i, n)
		c.resent.Add(uint64(n))
	}
}
