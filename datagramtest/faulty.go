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

// open injects faults into the making of a socket, and into the socket.
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
	return &faultySocket{Socket: s, faults: n.faults, closed: make(chan struct{}), interrupted: make(chan struct{}, 1)}, nil
}

// A faultySocket injects faults into the calls of a socket. Once it is closed there are none.
type faultySocket struct {
	socket.Socket
	faults      *Faults
	closing     sync.Once
	closed      chan struct{}
	interrupted chan struct{} // holds something from Interrupt until Resume
}

// again is the pause before a call is tried again that found no room or nothing to receive.
const again = time.Millisecond

// pause waits, and reports false if one of the channels, which may be nil, ended that.
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

// strike returns the fault for a call, after its delay.
func (s *faultySocket) strike(op Op) Fault {
	select {
	case <-s.closed:
		return Fault{}
	default:
	}
	fault := s.faults.strike(op)
	var interrupted <-chan struct{}
	if op == OpReceive {
		interrupted = s.interrupted
	}
	delay := fault.Delay
	if errors.Is(fault.Err, syscall.EAGAIN) && op == OpReceive {
		delay += again
	}
	if !pause(delay, s.closed, interrupted) {
		return Fault{} // the socket itself says why
	}
	return fault
}

// Send sends what the faults leave of it.
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
		case errors.Is(fault.Err, syscall.EINTR):
		case !errors.Is(fault.Err, syscall.EAGAIN):
			return 0, os.NewSyscallError("sendmsg", fault.Err)
		case !wait:
			return 0, syscall.EAGAIN
		case !pause(again, s.closed, nil):
			return 0, net.ErrClosed
		}
	}
	return 0, nil
}

// Receive receives what the faults leave of it.
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
		case !errors.Is(fault.Err, syscall.EAGAIN) && !errors.Is(fault.Err, syscall.EINTR):
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

// Interrupt ends delays too.
func (s *faultySocket) Interrupt() {
	select {
	case s.interrupted <- struct{}{}:
	default:
	}
	s.Socket.Interrupt()
}

// Resume lets Receive work again.
func (s *faultySocket) Resume() {
	select {
	case <-s.interrupted:
	default:
	}
	s.Socket.Resume()
}

// Close ends delays too.
func (s *faultySocket) Close() error {
	s.closing.Do(func() { close(s.closed) })
	return s.Socket.Close()
}

// Connect may fail with the socket left as it is.
func (s *faultySocket) Connect(peer netip.AddrPort) error {
	if err := s.strike(OpConnect).Err; err != nil {
		return os.NewSyscallError("connect", err)
	}
	return s.Socket.Connect(peer)
}

// SetOption may fail with the option left as it is.
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

// Membership may fail with the memberships left as they are.
func (s *faultySocket) Membership(m socket.Membership) error {
	if err := s.strike(OpMembership).Err; err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return s.Socket.Membership(m)
}
