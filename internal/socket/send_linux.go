package socket

import (
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/wire"
)

// maxVectors is from how many pieces of memory one sendmmsg gathers at most.
const maxVectors = 256

// A transfer is one Send, with what sendmmsg works on. Transfers are pooled, so
// that an idle socket has none.
type transfer struct {
	headers [maxMessages]mmsghdr
	vectors [maxVectors]unix.Iovec
	names   [maxMessages]wire.RawSockaddr
	control [maxMessages][wire.ControlSize]byte
	counts  [maxMessages]int // datagrams in each message

	socket  *linuxSocket
	ds      []Outgoing
	by      route
	plain   bool // without segmentation
	n       int  // messages prepared
	used    int  // vectors
	bytes   int  // in all messages
	sent    int
	name    string // of the system call
	errno   syscall.Errno
	refused error            // by prepare, while waiting
	try     func(fd uintptr) // bound once, so that a send allocates nothing
	wait    func(fd uintptr) bool
}

var transfers = sync.Pool{New: func() any {
	t := new(transfer)
	t.try = func(fd uintptr) { t.sendmmsg(fd) }
	t.wait = func(fd uintptr) bool {
		t.socket.connection.RLock()
		defer t.socket.connection.RUnlock()
		// The peer may have changed while this waited.
		if t.refused = t.prepare(); t.refused != nil {
			return true
		}
		t.sendmmsg(fd)
		return t.errno != unix.EAGAIN
	}
	return t
}}

// Send makes one system call, or waits until one succeeds.
func (s *linuxSocket) Send(ds []Outgoing, wait bool) (int, error) {
	if len(ds) == 0 {
		return 0, nil
	}
	t := transfers.Get().(*transfer)
	defer t.free()
	t.socket, t.ds, t.plain = s, ds, false
	if !s.segmentation.isFailing(ds[0].Addr) {
		return t.send(wait)
	}
	return t.sendPlain(stretch(ds), wait)
}

// stretch returns the first datagrams that differ in nothing but payload.
func stretch(ds []Outgoing) []Outgoing {
	n := 1
	for n < min(len(ds), maxMessages) && ds[n].TravelsWith(&ds[0]) {
		n++
	}
	return ds[:n]
}

// sendPlain sends datagrams to one destination as one message each, and notes
// whether the first fails alone too.
func (t *transfer) sendPlain(ds []Outgoing, wait bool) (int, error) {
	t.ds, t.plain = ds, true
	n, err := t.send(wait)
	t.socket.segmentation.fails(ds[0].Addr, n == 0)
	return n, err
}

// free keeps nothing of what was sent.
func (t *transfer) free() {
	clear(t.vectors[:t.used])
	t.socket, t.ds, t.used = nil, nil, 0
	transfers.Put(t)
}

func (t *transfer) send(wait bool) (int, error) {
	s := t.socket
	if err := t.attempts(wait); err != nil {
		return 0, err
	}
	if t.errno != 0 && t.errno != unix.EAGAIN && s.zones.changed(t.ds[0].zones()) {
		if err := t.attempts(wait); err != nil {
			return 0, err
		}
	}
	if count := t.counts[0]; count > 1 && segmentationErrors(t.errno) {
		return t.sendUnsegmented(count, wait)
	}
	switch t.errno {
	case 0:
	case unix.EAGAIN:
		return 0, unix.EAGAIN // bare: callers retry in loops
	default:
		return 0, os.NewSyscallError(t.name, t.errno)
	}
	s.counters.SendCalls.Add(1)
	sent := 0
	for _, count := range t.counts[:t.sent] {
		sent += count
	}
	return sent, nil
}

// attempts repeats submit until its errno is about these datagrams.
func (t *transfer) attempts(wait bool) error {
	s := t.socket
	reported, unexplained := s.counters.NetworkErrors.Load(), 0
	var r retrial
	for again := true; again; {
		err := t.submit(wait)
		if err != nil {
			return err
		}
		if s.isNetworkError(t.errno) && unexplained < maxUnexplained {
			// Most likely it is about a datagram sent before: the kernel tells
			// whoever comes next, and there may be many. An error of this datagram
			// repeats when the queue is empty.
			if n := s.collectNetworkErrors(); n != reported {
				reported = n
			} else {
				unexplained++
			}
			s.counters.Retries.Add(1)
			continue
		}
		if again, err = r.again(s.kernelSocket, t.name, t.errno, t.by); err != nil {
			return err
		}
	}
	return nil
}

// sendUnsegmented sends the datagrams of the first message one by one, after the
// kernel took none of them. That shows whether a datagram is at fault, or
// segmentation on this path.
func (t *transfer) sendUnsegmented(count int, wait bool) (int, error) {
	s, errno := t.socket, t.errno
	s.counters.Retries.Add(1)
	n, err := t.sendPlain(t.ds[:count], wait)
	if n > 0 { // the first went, and none is larger
		s.counters.Fallbacks.Add(1)
		s.segmentation.block(t.ds[0].Addr, errno)
	}
	return n, err
}

// submit gives datagrams to the kernel as soon as there is room, or at once.
func (t *transfer) submit(wait bool) error {
	err := t.attempt()
	if err == nil && t.errno == unix.EAGAIN && wait {
		err = t.waitForRoom()
	}
	return err
}

// attempt makes one system call.
func (t *transfer) attempt() error {
	s := t.socket
	s.connection.RLock()
	defer s.connection.RUnlock()
	if err := t.prepare(); err != nil {
		return err
	}
	// Control lets senders run side by side; Write would make them queue.
	return closed(s.raw.Control(t.try))
}

// waitForRoom repeats the attempt until the kernel has room.
func (t *transfer) waitForRoom() error {
	if t.ds[0].Name == nil {
		t.refused = nil
		if err := t.socket.raw.Write(t.wait); err != nil {
			return closed(err)
		}
		return t.refused
	}
	// For an unconnected AF_UNIX socket with a full peer the poller would spin.
	for between := pause(0); t.errno == unix.EAGAIN; {
		between.wait()
		if err := t.attempt(); err != nil {
			return err
		}
	}
	return nil
}

// prepare lays out messages for as many datagrams as fit. An error is about the
// first datagram.
func (t *transfer) prepare() error {
	s, ds := t.socket, t.ds
	clear(t.vectors[:t.used])
	t.n, t.used, t.bytes = 0, 0, 0
	t.by = route{connected: s.peer.IsValid(), unbound: s.isUnbound()}
	var segments permission
	if !t.plain {
		segments = s.segmentation.ask()
		defer segments.done()
	}
	for len(ds) > 0 && t.n < maxMessages && t.used < maxVectors {
		run := t.gather(ds, segments)
		if err := t.message(&ds[0], run); err != nil {
			if t.n > 0 {
				return nil // it will be the first
			}
			return err
		}
		if t.n == 0 {
			t.by.unnamed = t.by.connected && t.headers[0].header.Namelen == 0
		}
		t.counts[t.n] = run.Count
		t.bytes += run.Bytes
		t.n++
		ds = ds[run.Count:]
		if !s.batches() {
			break
		}
	}
	return nil
}

// gather points the next message at the payloads of the datagrams that it can
// carry together.
func (t *transfer) gather(ds []Outgoing, segments permission) batch.Run {
	var run batch.Run
	first := &ds[0]
	h := &t.headers[t.n].header
	*h = unix.Msghdr{Iov: &t.vectors[t.used]}
	limit := batch.MaxPayload6
	if t.socket.sendsIPv4(first.Addr) {
		limit = batch.MaxPayload4
	}
	segment := segments.covers(first.Addr)
	var end uintptr // of the last piece
	for i := range ds {
		d := &ds[i]
		if i > 0 && (!segment || t.used == maxVectors || !d.TravelsWith(first)) ||
			!run.Add(len(d.Payload), limit) {
			break
		}
		// Adjacent payloads are one piece.
		start := unsafe.SliceData(d.Payload)
		if i > 0 && uintptr(unsafe.Pointer(start)) == end {
			v := &t.vectors[t.used-1]
			v.SetLen(int(v.Len) + len(d.Payload))
		} else {
			v := &t.vectors[t.used]
			v.Base = start
			v.SetLen(len(d.Payload))
			t.used++
			h.SetIovlen(int(h.Iovlen) + 1)
		}
		end = uintptr(unsafe.Pointer(start)) + uintptr(len(d.Payload))
	}
	return run
}

// message addresses a message of a run that begins with d.
func (t *transfer) message(d *Outgoing, run batch.Run) error {
	s, i := t.socket, t.n
	h := &t.headers[i].header
	var err error
	switch {
	case d.Name != nil:
		h.Namelen, err = t.names[i].EncodeName(d.Name)
	case d.Addr.IsValid() && d.Addr != s.peer:
		// The kernel has a cached route to the connected peer if that is not named.
		h.Namelen, err = t.names[i].Encode(d.Addr, s.family, &s.zones)
	}
	if err != nil {
		return err
	}
	if h.Namelen > 0 {
		h.Name = (*byte)(unsafe.Pointer(&t.names[i]))
	}
	control := t.control[i][:0]
	if d.wantsControl() {
		if control, err = s.appendControl(control, d); err != nil {
			return err
		}
	}
	if run.Count > 1 {
		control = wire.AppendSegmentSize(control, run.Size)
	}
	if len(control) > 0 {
		h.Control = unsafe.SliceData(control)
		h.SetControllen(len(control))
	}
	return nil
}
