package socket

import (
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/wire"
)

// maxOffered bounds the memory of the slots of one recvmmsg. Datagrams of AF_UNIX
// can have any size.
const maxOffered = maxSlots * buffer.Size

// One receive should not bring more datagrams or bytes than this. More would not
// make the system call any cheaper, but the first datagram would wait for the
// last, and a slow reader would hold them all.
const (
	maxDatagrams = 512
	maxBytes     = 16 * buffer.Size
)

// When a receive brings more bytes than this, copying them takes so long that
// getting chunks anew costs nothing: chunks it did not fill are freed at once.
const cheapBytes = 2 * buffer.Size

// slots are what recvmmsg works on. They hold much memory, so only sockets that
// have something to read keep them.
type slots struct {
	headers  [maxSlots]mmsghdr
	vectors  [maxSlots]unix.Iovec
	names    [maxSlots]wire.RawSockaddr
	control  [maxSlots][wire.ControlSize]byte
	messages [maxSlots]Incoming
	used     int // the slots from here on are empty
}

var slotsPool = sync.Pool{New: func() any { return new(slots) }}

// free keeps chunks of usual size for the next receive, as many as the last one
// needed, and nothing of what was received.
func (s *slots) free() {
	for i := range s.messages[:s.used] {
		c := s.messages[i].Chunk
		if c != nil && len(c.Bytes) > buffer.Size {
			c.Free()
			c = nil
		}
		s.messages[i] = Incoming{Chunk: c}
		s.vectors[i].Base = nil // else it would keep a lent chunk from being collected
	}
	slotsPool.Put(s)
}

// drop empties all slots but the first n. More were offered when more came.
func (s *slots) drop(n int) {
	for i := n; i < s.used; i++ {
		if c := s.messages[i].Chunk; c != nil {
			c.Free()
		}
		s.messages[i] = Incoming{}
		s.vectors[i].Base = nil
	}
	s.used = n
}

func (s *slots) trim() {
	for i := range s.messages[:s.used] {
		if c := s.messages[i].Chunk; c != nil {
			s.messages[i].Chunk = nil
			s.vectors[i].Base = nil
			c.Free()
		}
	}
}

// receiving is the receive side of a socket. One goroutine at a time uses it.
type receiving struct {
	socket *linuxSocket
	batch  *Batch
	// Bound once, so that a receive allocates nothing.
	read   func(fd uintptr) bool
	wait   func(read func(fd uintptr) bool) error
	want   int  // slots to offer
	waited bool // nothing was there at first
	load   int  // see adaptWatcher
	n      int
	name   string // of the system call
	errno  syscall.Errno
	errors NetworkErrors
}

func (r *receiving) init(s *linuxSocket) {
	r.socket, r.want, r.read = s, 1, r.take
}

func (s *linuxSocket) Receive(b *Batch) error {
	r := &s.receiving
	r.batch = b
	b.Messages, b.ControlErrors, b.Waited = nil, 0, false
	r.errors, r.waited = nil, false
	if err := r.wait(r.read); err != nil {
		if isNotPollable(err) {
			return s.failed(b, s.pollable())
		}
		return closed(err)
	}
	if r.errors != nil {
		if s.isOverwritten() {
			s.networkErrors.putBack(r.errors)
			return s.failed(b, os.NewSyscallError(r.name, syscall.ECONNABORTED))
		}
		b.Free()
		return r.errors
	}
	if r.errno != 0 {
		return s.failed(b, os.NewSyscallError(r.name, r.errno))
	}
	s.counters.ReceiveCalls.Add(1)
	b.Waited = r.waited
	held := b.memory.(*slots)
	datagrams, bytes := r.finish(b, held)
	r.adapt(datagrams, bytes)
	r.adaptWatcher()
	keep := r.want
	if bytes > cheapBytes {
		keep = 0
	}
	held.drop(max(keep, r.n))
	return nil
}

// failed returns the error of a receive, or receives again if there is none to
// report.
func (s *linuxSocket) failed(b *Batch, err error) error {
	b.Free()
	b.Waited = s.receiving.waited
	s.relieve()
	if err = s.restoreAfter(err); err == nil {
		return s.Receive(b)
	}
	return err
}

// adapt chooses how many slots to offer next, by how many datagrams and bytes
// came: a quiet socket does not pay for many, a busy one fills them, and
// coalesced or large datagrams fill few.
func (r *receiving) adapt(datagrams, bytes int) {
	switch {
	case !r.socket.batches():
	case datagrams > maxDatagrams, bytes > maxBytes, r.waited && r.n <= r.want/2:
		r.want = max(r.want/2, 1)
	case r.n == r.want && !r.waited && datagrams <= maxDatagrams/2 && bytes <= maxBytes/2:
		r.want = min(2*r.want, maxSlots, max(1, maxOffered/r.socket.bufferSize()))
	}
}

// A receive of busyMessages or more shows load, one that waited for a single
// message shows none. maxLoad of the former in excess of the latter put a socket
// behind a gate, as many of the latter in excess give it back to the poller. To
// change over takes about as long as ten receives.
const (
	busyMessages = 8
	maxLoad      = 16
)

// adaptWatcher chooses who watches the socket.
func (r *receiving) adaptWatcher() {
	watched := r.socket.watched
	switch {
	case watched == nil:
	case r.n >= busyMessages && r.load == maxLoad:
		if !watched.isGated() { // a Write needed the poller: wait as long again
			r.load = 0
		}
	case r.n >= busyMessages:
		if r.load++; r.load == maxLoad {
			_ = watched.toGate() // it works without
		}
	case r.n == 1 && r.waited && r.load > 0:
		if r.load--; r.load == 0 {
			_ = watched.toPoller()
		}
	}
}

// take is recvmmsg, unless the socket is interrupted: then waiting ends at once.
func (r *receiving) take(fd uintptr) bool {
	r.socket.taking.Lock()
	defer r.socket.taking.Unlock()
	return !r.socket.interrupted && r.recvmmsg(fd)
}

// recvmmsg is called when the poller takes the descriptor for readable. It holds
// buffers only if there is something to put in them.
func (r *receiving) recvmmsg(fd uintptr) bool {
	held, _ := r.batch.memory.(*slots)
	if held == nil {
		held = slotsPool.Get().(*slots)
		r.batch.memory = held
	}
	held.offer(r.want, r.socket.bufferSize())
	for unexplained := 0; ; {
		n, errno := r.call(fd, held)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			// A send, perhaps of another holder of the socket, may have taken the
			// errno that tells of network errors.
			if r.findNetworkErrors() {
				return true
			}
			r.batch.Free()
			r.waited = true
			return false
		case 0, unix.ECONNABORTED: // reading the error queue would hide that the socket was changed: see restore
		default:
			if !r.findNetworkErrors() && r.socket.isNetworkError(errno) && unexplained < maxUnexplained {
				unexplained++
				continue // a send has collected it
			}
		}
		r.n, r.errno = n, errno
		return true
	}
}

func (r *receiving) call(fd uintptr, s *slots) (int, syscall.Errno) {
	flags := uintptr(r.socket.receiveFlags())
	// After a wait the scheduler is told: its monitor may be asleep, and would watch neither the
	// poller nor how long this goroutine runs (runtime.sysmon, entersyscall_sysmon).
	short := r.socket.udp && !r.waited
	if r.want > 1 {
		r.name = "recvmmsg"
		n, errno := call(short, unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.headers)), uintptr(r.want), flags, 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return n, errno
		}
		r.socket.unbatched.Store(uintptr(errno)) // see filtersBatches
		r.want = 1
	}
	r.name = "recvmsg"
	n, errno := call(short, unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.headers[0].header)), flags, 0, 0, 0)
	s.headers[0].size = uint32(n)
	return 1, errno
}

// bufferSize is the room for one message.
func (s *linuxSocket) bufferSize() int {
	if s.limits.Coalesce {
		return max(buffer.Size, s.limits.Receive)
	}
	return s.limits.Receive
}

// offer prepares n slots. It sets lengths and flags anew each time, because the
// kernel overwrites them.
func (s *slots) offer(n, size int) {
	s.used = max(s.used, n)
	for i := range n {
		m := &s.messages[i]
		if m.Chunk != nil && len(m.Chunk.Bytes) < size {
			m.Chunk.Free() // it is that of a socket with smaller datagrams
			m.Chunk = nil
		}
		if m.Chunk == nil {
			m.Chunk = buffer.Get(size)
		}
		v := &s.vectors[i]
		v.Base = unsafe.SliceData(m.Chunk.Bytes)
		v.SetLen(size)
		h := &s.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&s.names[i]))
		h.Namelen = uint32(len(s.names[i].Bytes()))
		h.Iov = v
		h.Iovlen = 1
		h.Control = &s.control[i][0]
		h.SetControllen(wire.ControlSize)
		h.Flags = 0
	}
}

// finish makes messages of what the kernel wrote. It returns how many datagrams
// and bytes they hold.
func (r *receiving) finish(b *Batch, s *slots) (datagrams, bytes int) {
	b.Messages = s.messages[:r.n]
	for i := range b.Messages {
		h, m := &s.headers[i], &b.Messages[i]
		*m = Incoming{
			Chunk:     m.Chunk,
			Payload:   m.Chunk.Bytes[:h.size],
			Truncated: h.header.Flags&unix.MSG_TRUNC != 0,
		}
		m.Addr, m.Name = s.names[i].Decode(h.header.Namelen, &r.socket.zones)
		if n := int(h.header.Controllen); n > 0 {
			r.socket.parseControl(s.control[i][:n], m)
		}
		if h.header.Flags&unix.MSG_CTRUNC != 0 {
			b.ControlErrors++
		}
		datagrams += batch.Segments(len(m.Payload), m.SegmentSize)
		bytes += len(m.Payload)
	}
	return datagrams, bytes
}
