package datagramtest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"example.com/datagram/internal/socket"
)

// A faultyNetwork injects faults into the sockets of a network.
type faultyNetwork struct {
	socket.Network
	faults *Faults
}

func (n faultyNetwork) Listen(ctx context.Context, network, address string, config socket.Config) (socket.Socket, error) {
	return n.open(ctx, func() (socket.Socket, error) { return n.Network.Listen(ctx, network, address, config) })
}

func (n faultyNetwork) Open(f *os.File, config socket.Config) (socket.Socket, error) {
	return n.open(context.Background(), func() (socket.Socket, error) { return n.Network.Open(f, config) })
}

// open injects faults into the creation of a socket, and wraps the socket.
func (n faultyNetwork) open(ctx context.Context, beneath func() (socket.Socket, error)) (socket.Socket, error) {
	fault := n.faults.strike(OpListen)
	if !pause(fault.Delay, ctx.Done(), nil) {
		return nil, ctx.Err()
	}
	if fault.Err != nil {
		return nil, os.NewSyscallError("socket", fault.Err)
	}
	s, err := beneath()
	if err != nil {
		return nil, err
	}
	return &faultySocket{Socket: s, faults: n.faults, closed: make(chan struct{}), interrupted: make(chan struct{})}, nil
}

// A faultySocket injects faults into the calls of a socket. It injects none once it is closed, and
// none into receives while it is interrupted.
type faultySocket struct {
	socket.Socket
	faults  *Faults
	closing sync.Once
	closed  chan struct{}

	mu          sync.Mutex
	interrupted chan struct{} // closed from Interrupt until Resume
}

// again is the pause before a call is repeated that was interrupted, or that found no room or
// nothing to receive. Without it, an endless fault would keep a processor busy, and time in a
// bubble from advancing.
const again = time.Millisecond

// pause waits, and returns false if one of the channels, which may be nil, ends the wait.
func pause(d time.Duration, closed, interrupted <-chan struct{}) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closed:
	case <-interrupted:
	}
	return false
}

// isAgain reports whether a call with this error is repeated before anybody sees it.
func isAgain(err error) bool { return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) }

// strike returns the fault for a call, after its delay.
func (s *faultySocket) strike(op Op) Fault {
	var interrupted <-chan struct{}
	if op == OpReceive {
		s.mu.Lock()
		interrupted = s.interrupted
		s.mu.Unlock()
	}
	select {
	case <-s.closed:
		return Fault{}
	case <-interrupted:
		return Fault{}
	default:
	}
	fault := s.faults.strike(op)
	if !pause(fault.Delay, s.closed, interrupted) || op == OpReceive && isAgain(fault.Err) && !pause(again, s.closed, interrupted) {
		return Fault{} // the socket itself returns the reason
	}
	return fault
}

// Send sends what the faults allow.
func (s *faultySocket) Send(ds []socket.Outgoing, wait bool) (int, error) {
	for len(ds) > 0 {
		fault := s.strike(OpSend)
		switch {
		case fault.Short > 0 && fault.Short < len(ds):
			n, err := s.Socket.Send(ds[:fault.Short], wait)
			if n == fault.Short && err == nil && fault.Err != nil {
				err = os.NewSyscallError("sendmsg", fault.Err)
			}
			return n, err
		case fault.Short > 0, fault.Err == nil:
			return s.Socket.Send(ds, wait)
		case !isAgain(fault.Err):
			return 0, os.NewSyscallError("sendmsg", fault.Err)
		case errors.Is(fault.Err, syscall.EAGAIN) && !wait:
			return 0, syscall.EAGAIN
		case !pause(again, s.closed, nil):
			return 0, net.ErrClosed
		}
	}
	return 0, nil
}

// Receive receives what the faults allow.
func (s *faultySocket) Receive(b *socket.Batch) error {
	for {
		fault := s.strike(OpReceive)
		switch {
		case fault.Err == nil:
			err := s.Socket.Receive(b)
			if err == nil && fault.Short > 0 {
				cutShort(b.Messages, fault.Short)
			}
			return err
		case !isAgain(fault.Err):
			b.Messages, b.ControlErrors = nil, 0
			return os.NewSyscallError("recvmsg", fault.Err)
		}
	}
}

// cutShort truncates messages of one datagram to n bytes.
func cutShort(messages []socket.Incoming, n int) {
	for i := range messages {
		m := &messages[i]
		if m.SegmentSize == 0 && len(m.Payload) > n {
			m.Payload, m.Truncated = m.Payload[:n], true
		}
	}
}

// Interrupt also ends delays, which may have nothing to receive after them.
func (s *faultySocket) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Socket.Interrupt()
	select {
	case <-s.interrupted:
	default:
		close(s.interrupted)
	}
}

// Resume lets Receive work again.
func (s *faultySocket) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.interrupted:
		s.interrupted = make(chan struct{})
	default:
	}
	s.Socket.Resume()
}

// Close also ends delays, which have no socket to use after them.
func (s *faultySocket) Close() error {
	defer s.closing.Do(func() { close(s.closed) })
	return s.Socket.Close()
}

// Connect may fail; the socket then stays as it is.
func (s *faultySocket) Connect(peer netip.AddrPort) error {
	if err := s.strike(OpConnect).Err; err != nil {
		return os.NewSyscallError("connect", err)
	}
	return s.Socket.Connect(peer)
}

// SetOption may fail; the option then stays as it is.
func (s *faultySocket) SetOption(option socket.Option, value int) error {
	if err := s.strike(OpSetOption).Err; err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return s.Socket.SetOption(option, value)
}

// Option may fail.
func (s *faultySocket) Option(option socket.Option) (int, error) {
	if err := s.strike(OpOption).Err; err != nil {
		return 0, os.NewSyscallError("getsockopt", err)
	}
	return s.Socket.Option(option)
}

// Membership may fail; the memberships then stay as they are.
func (s *faultySocket) Membership(m socket.Membership) error {
	if err := s.strike(OpMembership).Err; err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return s.Socket.Membership(m)
}
