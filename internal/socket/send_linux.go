package socket

import (
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/batch"
)

// How many messages one sendmmsg carries, and how many pieces of memory they
// are gathered from.
const (
	maxMessages = 64
	maxVectors  = 256
)

// A transfer is one attempt to hand datagrams to the kernel, with what
// sendmmsg works on. Transfers are pooled: an idle socket has none.
type transfer struct {
	headers [maxMessages]mmsghdr
	vectors [maxVectors]unix.Iovec
	names   [maxMessages]sockaddr
	control [maxMessages][controlSize]byte
	counts  [maxMessages]int // datagrams in each message

	socket  *system
	ds      []Outgoing
	plain   bool // without segmentation
	n       int  // messages prepared
	used    int  // vectors
	sent    int
	errno   syscall.Errno
	refused error            // what preparing met while waiting
	try     func(fd uintptr) // bound once, so that a send allocates nothing
	wait    func(fd uintptr) bool
}

var transfers = sync.Pool{New: func() any {
	t := new(transfer)
	t.try = func(fd uintptr) { t.sendmmsg(fd) }
	t.wait = func(fd uintptr) bool {
		t.socket.connection.RLock()
		defer t.socket.connection.RUnlock()
		// Prepared anew, since the peer may have changed while this waited.
		if t.refused = t.prepare(); t.refused != nil {
			return true
		}
		t.sendmmsg(fd)
		return t.errno != unix.EAGAIN
	}
	return t
}}

// Send makes one system call, or waits until one succeeds.
func (s *system) Send(ds []Outgoing, wait bool) (int, error) {
	if len(ds) == 0 {
		return 0, nil
	}
	t := transfers.Get().(*transfer)
	defer t.free()
	t.socket, t.ds, t.plain = s, ds, false
	return t.send(wait)
}

// free keeps nothing of what was sent.
func (t *transfer) free() {
	clear(t.vectors[:t.used])
	t.socket, t.ds, t.used = nil, nil, 0
	transfers.Put(t)
}

func (t *transfer) send(wait bool) (int, error) {
	s := t.socket
	reported := s.counters.NetworkErrors.Load()
	if err := t.hand(wait); err != nil {
		return 0, err
	}
	for unexplained := 0; unexplained < maxUnexplained && s.isNetworkError(t.errno); {
		// Most likely a report on a datagram sent before: the kernel gives it to whoever comes
		// next, and there may be many. This datagram's own errors repeat without any.
		if n := s.collectNetworkErrors(); n != reported {
			reported = n
		} else {
			unexplained++
		}
		s.counters.Retries.Add(1)
		if err := t.hand(wait); err != nil {
			return 0, err
		}
	}
	if count := t.counts[0]; count > 1 && segmentationErrors(t.errno) {
		return t.sendUnsegmented(count, wait)
	}
	switch t.errno {
	case 0:
	case unix.EAGAIN:
		return 0, unix.EAGAIN // bare, since callers retry on it in loops
	default:
		return 0, os.NewSyscallError("sendmmsg", t.errno)
	}
	s.counters.SendCalls.Add(1)
	sent := 0
	for _, count := range t.counts[:t.sent] {
		sent += count
	}
	return sent, nil
}

// sendUnsegmented sends the datagrams of the first message one by one, after
// the kernel took none of them. What is wrong with one of them, or with
// segmentation on this path, shows then.
func (t *transfer) sendUnsegmented(count int, wait bool) (int, error) {
	s, errno := t.socket, t.errno
	s.counters.Retries.Add(1)
	t.ds, t.plain = t.ds[:count], true
	n, err := t.send(wait)
	if n > 0 { // the first, and none is larger
		s.counters.Fallbacks.Add(1)
		s.segmentation.block(t.ds[0].Addr, errno)
	}
	return n, err
}

// hand hands datagrams over as soon as there is room, or at once.
func (t *transfer) hand(wait bool) error {
	err := t.attempt()
	if err == nil && t.errno == unix.EAGAIN && wait {
		err = t.waitForRoom()
	}
	return err
}

// attempt sends what can be sent at once.
func (t *transfer) attempt() error {
	s := t.socket
	s.connection.RLock()
	defer s.connection.RUnlock()
	if err := t.prepare(); err != nil {
		return err
	}
	// Control lets senders run side by side where Write would make them queue.
	return closed(s.raw.Control(t.try))
}

// waitForRoom repeats the attempt until it does not end with EAGAIN.
func (t *transfer) waitForRoom() error {
	if t.ds[0].Name == nil {
		t.refused = nil
		if err := t.socket.raw.Write(t.wait); err != nil {
			return closed(err)
		}
		return t.refused
	}
	// The poller would spin on an unconnected AF_UNIX socket with a full peer.
	for between := pause(0); t.errno == unix.EAGAIN; {
		between.wait()
		if err := t.attempt(); err != nil {
			return err
		}
	}
	return nil
}

// prepare lays out messages for as many of the datagrams as fit. An error is
// that of the first datagram.
func (t *transfer) prepare() error {
	s, ds := t.socket, t.ds
	clear(t.vectors[:t.used])
	t.n, t.used = 0, 0
	for len(ds) > 0 && t.n < maxMessages && t.used < maxVectors {
		run := t.gather(ds)
		if err := t.message(&ds[0], run); err != nil {
			if t.n > 0 {
				return nil // its turn comes
			}
			return err
		}
		t.counts[t.n] = run.Count
		t.n++
		ds = ds[run.Count:]
		if !s.batches() {
			break
		}
	}
	return nil
}

// gather points the next message at the payloads of those of the datagrams that it
// can carry.
func (t *transfer) gather(ds []Outgoing) batch.Run {
	var run batch.Run
	first := &ds[0]
	h := &t.headers[t.n].header
	*h = unix.Msghdr{Iov: &t.vectors[t.used]}
	limit := batch.MaxPayload6
	if t.socket.sendsIPv4(first.Addr) {
		limit = batch.MaxPayload4
	}
	segment := !t.plain && t.socket.segmentation.allowed(first.Addr)
	var end uintptr // of the last piece
	for i := range ds {
		d := &ds[i]
		if i > 0 && (!segment || t.used == maxVectors || !d.TravelsWith(first)) ||
			!run.Add(len(d.Payload), limit) {
			break
		}
		// Payloads that lie behind one another are one piece.
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
		h.Namelen, err = t.names[i].encodeName(d.Name)
	case d.Addr.IsValid() && d.Addr != s.peer:
		// To the connected peer the kernel knows a cached route if it is not named.
		h.Namelen, err = t.names[i].encode(d.Addr, s.family, &s.zones)
	}
	if err != nil {
		return err
	}
	if h.Namelen > 0 {
		h.Name = (*byte)(unsafe.Pointer(&t.names[i]))
	}
	control := t.control[i][:0]
	if d.Control != nil {
		if control, err = s.appendControl(control, d); err != nil {
			return err
		}
	}
	if run.Count > 1 {
		control = appendSegmentSize(control, run.Size)
	}
	if len(control) > 0 {
		h.Control = unsafe.SliceData(control)
		h.SetControllen(len(control))
	}
	return nil
}

// sendmmsg hands over what is prepared and takes note of the outcome.
func (t *transfer) sendmmsg(fd uintptr) {
	for {
		n, errno := t.call(fd)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			n = 0
		}
		t.sent, t.errno = n, errno
		return
	}
}

func (t *transfer) call(fd uintptr) (int, syscall.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if h := &t.headers[0].header; t.n == 1 && h.Iovlen == 1 && h.Control == nil {
		// The kernel has less to copy.
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Iov.Base)), uintptr(h.Iov.Len),
			flags, uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen))
		return 1, errno
	}
	if t.n > 1 && t.socket.unbatched.Load() == 0 {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&t.headers)), uintptr(t.n), flags, 0, 0)
		if errno != unix.ENOSYS && (errno != unix.EPERM || !filtersBatches(fd)) {
			return int(n), errno
		}
		t.socket.unbatched.Store(uintptr(errno))
	}
	_, _, errno := unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&t.headers[0].header)), flags)
	return 1, errno
}

// filtersBatches says whether it is for the system call itself that sendmmsg
// fails with EPERM, which is what old seccomp filters say of calls that they do
// not know (github.com/opencontainers/runc/issues/2151), or for the datagram,
// as where a firewall drops it. Of no messages the kernel refuses none
// (__sys_sendmmsg).
func filtersBatches(fd uintptr) bool {
	_, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, 0, 0, 0, 0, 0)
	return errno == unix.EPERM
}
