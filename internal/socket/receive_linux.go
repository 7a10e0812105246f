package socket

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
)

// mmsghdr is struct mmsghdr of recvmmsg(2), which golang.org/x/sys/unix lacks.
// The compiler pads it as C does: to 64 bytes where pointers have 8, else to 32.
type mmsghdr struct {
	header unix.Msghdr
	size   uint32
}

// system is the implementation for Linux: recvmmsg and sendmmsg with
// generic segmentation and receive offload.
type system struct {
	*handle
	segmentation  segmentation
	receiving     receiving
	networkErrors networkErrors
	// unbatched is not 0 if the system calls for several messages are missing, or kept from us by a
	// seccomp filter: then it is what they say.
	unbatched atomic.Uintptr
}

func newSystem(h *handle) Socket {
	s := &system{handle: h}
	s.segmentation.on.Store(h.limits.Segment)
	s.receiving.init(s)
	return s
}

// Most slots that one recvmmsg fills. More gains nothing measurable: the
// system call's own cost is spread thin enough.
const maxSlots = 64

// maxOffered bounds the memory of the slots of one recvmmsg. AF_UNIX has datagrams of any size.
const maxOffered = maxSlots * buffer.Size

// More datagrams than this are not worth taking at a time: the system call is
// paid for, and the first would wait for the last.
const maxDatagrams = 512

// slots are what recvmmsg works on. They hold much memory and are therefore
// kept only by sockets that have something to read.
type slots struct {
	headers  [maxSlots]mmsghdr
	vectors  [maxSlots]unix.Iovec
	names    [maxSlots]sockaddr
	control  [maxSlots][controlSize]byte
	messages [maxSlots]Incoming
	used     int // since the last free
}

var slotsPool = sync.Pool{New: func() any { return new(slots) }}

// free keeps the chunks of usual size for the next who receives, and nothing of what was received.
func (s *slots) free() {
	for i := range s.messages[:s.used] {
		c := s.messages[i].Chunk
		if c != nil && len(c.Bytes) > buffer.Size {
			c.Free()
			c = nil
		}
		s.messages[i] = Incoming{Chunk: c}
		s.vectors[i].Base = nil // else the collector would find here what is lent
	}
	s.used = 0
	slotsPool.Put(s)
}

func (s *slots) trim() {
	for i := range s.messages {
		if c := s.messages[i].Chunk; c != nil {
			s.messages[i].Chunk = nil
			s.vectors[i].Base = nil
			c.Free()
		}
	}
}

// receiving is the receive side of a socket. One goroutine at a time uses it.
type receiving struct {
	socket *system
	batch  *Batch
	read   func(fd uintptr) bool // bound once, so that a receive allocates nothing
	want   int                   // slots to offer
	waited bool                  // nothing was there at first
	n      int
	errno  syscall.Errno
	errors NetworkErrors
}

func (r *receiving) init(s *system) {
	r.socket, r.want, r.read = s, 1, r.recvmmsg
}

func (s *system) Receive(b *Batch) error {
	r := &s.receiving
	r.batch = b
	b.Messages, b.ControlErrors = nil, 0
	r.errors, r.waited = nil, false
	if err := s.raw.Read(r.read); err != nil {
		if isNotPollable(err) {
			return s.pollable()
		}
		return closed(err)
	}
	if r.errors != nil {
		return r.errors
	}
	if r.errno != 0 {
		return os.NewSyscallError("recvmmsg", r.errno)
	}
	s.counters.ReceiveCalls.Add(1)
	r.adapt(r.finish(b, b.memory.(*slots)))
	return nil
}

// adapt chooses how many slots to offer the next time, from how many datagrams
// came: a quiet socket does not pay for many, a busy one fills them. Coalesced
// datagrams fill few.
func (r *receiving) adapt(datagrams int) {
	switch {
	case !r.socket.batches():
	case datagrams > maxDatagrams, r.waited && r.n <= r.want/2:
		r.want = max(r.want/2, 1)
	case r.n == r.want && !r.waited && datagrams <= maxDatagrams/2:
		r.want = min(2*r.want, maxSlots, max(1, maxOffered/r.socket.bufferSize()))
	}
}

// recvmmsg is called by the poller, with the descriptor readable as far as the
// poller knows. It holds buffers only if there is something to put in them.
func (r *receiving) recvmmsg(fd uintptr) bool {
	held, _ := r.batch.memory.(*slots)
	if held == nil {
		held = slotsPool.Get().(*slots)
		r.batch.memory = held
	}
	held.offer(r.want, r.socket.bufferSize())
	for {
		n, errno := r.call(fd, held)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			// A send, of another holder of the socket perhaps, may have taken the errno that says that there are
			// network errors.
			if r.findNetworkErrors() {
				return true
			}
			r.batch.Free()
			r.waited = true
			return false
		case 0:
		default:
			if !r.findNetworkErrors() && r.socket.isNetworkError(errno) {
				continue // a send has found and reported it
			}
		}
		r.n, r.errno = n, errno
		return true
	}
}

// call receives with MSG_DONTWAIT, because a descriptor that others share may
// have lost O_NONBLOCK.
func (r *receiving) call(fd uintptr, s *slots) (int, syscall.Errno) {
	flags := uintptr(r.socket.receiveFlags())
	if r.want > 1 {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.headers)), uintptr(r.want), flags, 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return int(n), errno
		}
		r.socket.unbatched.Store(uintptr(errno)) // see filtersBatches
		r.want = 1
	}
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.headers[0].header)), flags)
	s.headers[0].size = uint32(n)
	return 1, errno
}

// bufferSize is the room that one received message gets.
func (s *system) bufferSize() int {
	if s.limits.Coalesce {
		return max(buffer.Size, s.limits.Receive)
	}
	return s.limits.Receive
}

// offer prepares n slots. The kernel overwrites lengths and flags, so they are
// set anew for each call.
func (s *slots) offer(n, size int) {
	s.used = max(s.used, n)
	for i := range n {
		m := &s.messages[i]
		if m.Chunk != nil && len(m.Chunk.Bytes) < size {
			m.Chunk.Free() // of a socket that wanted smaller ones
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
		h.Namelen = uint32(len(s.names[i].bytes()))
		h.Iov = v
		h.Iovlen = 1
		h.Control = &s.control[i][0]
		h.SetControllen(controlSize)
		h.Flags = 0
	}
}

// finish makes messages of what the kernel wrote. It returns how many datagrams they are.
func (r *receiving) finish(b *Batch, s *slots) int {
	datagrams := 0
	b.Messages = s.messages[:r.n]
	for i := range b.Messages {
		h, m := &s.headers[i], &b.Messages[i]
		*m = Incoming{
			Chunk:     m.Chunk,
			Payload:   m.Chunk.Bytes[:h.size],
			Truncated: h.header.Flags&unix.MSG_TRUNC != 0,
		}
		m.Addr, m.Name = s.names[i].decode(h.header.Namelen, &r.socket.zones)
		if n := int(h.header.Controllen); n > 0 {
			parseControl(s.control[i][:n], m, &r.socket.zones)
		}
		if h.header.Flags&unix.MSG_CTRUNC != 0 {
			b.ControlErrors++
		}
		datagrams += batch.Segments(len(m.Payload), m.SegmentSize)
	}
	return datagrams
}

// Drops returns the socket's own count.
func (s *system) Drops() (uint32, bool) {
	const skMemInfoDrops = 8 // SK_MEMINFO_DROPS of linux/sock_diag.h
	var info [9]uint32
	err := s.control(func(fd uintptr) error {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	return info[skMemInfoDrops], err == nil
}
