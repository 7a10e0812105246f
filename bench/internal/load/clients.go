package load

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/mark"
	"golang.org/x/sys/unix"
)

// patience is how long a client waits for a reply before its request counts as lost.
const patience = 100 * time.Millisecond

// request is a request in flight, or a free place for one.
type request struct {
	seq    uint64 // its place plus a multiple of the number of places
	at     time.Time
	flying bool
}

// clients keep requests in flight at an echo server: a new one for each reply, or, with a pace, when
// one is due. Request n comes from client n modulo their number. All clients share one thread and
// one epoll, and one sendmmsg takes neighbouring requests of one client.
type clients struct {
	counts  *child.Counts
	fds     []int
	flight  []request
	in, out *batch
	epoll   int
	poll    []unix.PollFd // the epoll

	queued, sender int // messages in out, and their client

	// The pace: arrivals of a Poisson process, the same in every run. A request that is late,
	// because too many are in flight, counts from when it was due.
	gap  time.Duration // on average; 0 without a pace
	due  time.Time
	rand *rand.Rand
	next uint64 // number of the next request

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
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)} // the index, since nothing needs the fd
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return nil, err
		}
	}
	each := (a.Flight + len(fds) - 1) / len(fds)
	c := &clients{
		counts: counts, fds: fds, epoll: epoll,
		poll:   []unix.PollFd{{Fd: int32(epoll), Events: unix.POLLIN}},
		flight: make([]request, a.Flight),
		in:     newBatch(each, a.Size), out: newBatch(each, a.Size),
		rand: rand.New(rand.NewPCG(1, 2)),
	}
	for place := range c.flight {
		c.flight[place].seq = uint64(place)
	}
	if a.Pace > 0 {
		c.gap = time.Second / time.Duration(a.Pace)
	}
	return c, nil
}

func (c *clients) record() { c.recording.Store(true) }

func (c *clients) loop() error {
	// Without this the kernel would wake a paced client up to 50 µs late.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 256)
	now := time.Now()
	swept := now
	c.due = now
	if c.gap == 0 {
		c.begin(now)
	}
	for !c.counts.Stopped() {
		if c.gap > 0 {
			c.keepPace(time.Now())
		}
		n, err := c.wait(events)
		if err != nil {
			return err
		}
		var replies uint64
		for _, ev := range events[:n] {
			replies += c.turn(int(ev.Fd))
		}
		c.flush()
		c.counts.AddReceived(replies)
		if now := time.Now(); now.Sub(swept) > patience/4 {
			c.sweep(now)
			swept = now
		}
	}
	return nil
}

// begin sends the first requests, those of one client together.
func (c *clients) begin(now time.Time) {
	for i := range c.fds {
		for place := i; place < len(c.flight); place += len(c.fds) {
			c.send(&c.flight[place], now)
		}
	}
	c.flush()
}

// keepPace sends the requests that are due, as far as there are places for them.
func (c *clients) keepPace(now time.Time) {
	for busy := 0; !c.due.After(now) && busy < len(c.flight); {
		r := &c.flight[c.next%uint64(len(c.flight))]
		c.next++
		if r.flying {
			busy++
			continue
		}
		r.seq = c.next - 1
		c.send(r, c.due)
		c.due = c.due.Add(time.Duration(c.rand.ExpFloat64() * float64(c.gap)))
		busy = 0
	}
	c.flush()
}

// wait returns when replies have arrived, a request is due, or it is time to sweep.
func (c *clients) wait(events []unix.EpollEvent) (int, error) {
	timeout := patience / 4
	if c.gap > 0 { // epoll_wait knows milliseconds only
		spec := unix.NsecToTimespec(int64(min(timeout, max(0, time.Until(c.due)))))
		if _, err := unix.Ppoll(c.poll, &spec, nil); err != nil && err != unix.EINTR {
			return 0, err
		}
		timeout = 0
	}
	n, err := unix.EpollWait(c.epoll, events, int(timeout.Milliseconds()))
	if err == unix.EINTR {
		return 0, nil
	}
	return n, err
}

// turn receives client i's replies, and sends a new request for each unless there is a pace.
func (c *clients) turn(i int) uint64 {
	n, errno := c.in.recv(c.fds[i])
	if errno != 0 {
		return 0 // nothing to receive, or an ICMP error; the sweep sends again
	}
	now := time.Now()
	var replies uint64
	for k := range n {
		p := c.in.payload(k)
		if len(p) != len(c.out.bufs[0]) {
			c.counts.AddBad(1)
			continue
		}
		seq := binary.LittleEndian.Uint64(p)
		r := &c.flight[seq%uint64(len(c.flight))]
		if r.seq != seq || !r.flying {
			continue // it counts as lost already
		}
		r.flying = false
		replies++
		if c.recording.Load() {
			c.hist.Record(now.Sub(r.at))
		}
		if c.gap == 0 {
			c.renew(r, now)
		}
	}
	return replies
}

// renew sends the next request of r's place.
func (c *clients) renew(r *request, now time.Time) {
	r.seq += uint64(len(c.flight))
	c.send(r, now)
}

// send queues a request, behind those of the same client.
func (c *clients) send(r *request, at time.Time) {
	i := int(r.seq % uint64(len(c.fds)))
	if i != c.sender || c.queued == len(c.out.bufs) {
		c.flush()
	}
	r.at, r.flying = at, true
	binary.LittleEndian.PutUint64(c.out.bufs[c.queued], r.seq)
	c.sender = i
	c.queued++
}

// flush sends what is queued. What the kernel refuses is found by a later sweep.
func (c *clients) flush() {
	if c.queued > 0 {
		sent, _ := c.out.send(c.fds[c.sender], c.queued)
		c.counts.AddSent(uint64(sent))
		c.queued = 0
	}
}

// sweep gives up requests that have waited too long. Without a pace it sends others for them.
func (c *clients) sweep(now time.Time) {
	for i := range c.flight {
		r := &c.flight[i]
		if !r.flying || now.Sub(r.at) <= patience {
			continue
		}
		r.flying = false
		c.resent.Add(1)
		if c.gap == 0 {
			c.renew(r, now)
		}
	}
	c.flush()
}
