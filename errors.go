package datagram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"example.com/datagram/internal/socket"
)

// ErrQueueFull is what [Conn.TryQueue] returns when the send queue has no room,
// be it only that the handle's worker had no time yet. It is returned as it is,
// never wrapped.
var ErrQueueFull = errors.New("datagram: send queue full")

// ErrWouldBlock is what [Conn.TrySend] returns when the system has no room for
// the datagram now, or others are queued before it. It is returned as it is,
// never wrapped, and matches [syscall.EAGAIN]. libuv calls it UV_EAGAIN.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string        { return "datagram: send would block" }
func (wouldBlock) Is(target error) bool { return target == syscall.EAGAIN }
func (wouldBlock) Timeout() bool        { return true }
func (wouldBlock) Temporary() bool      { return true }

// A NetworkError is an ICMP error about a datagram that the handle sent. It is a hint:
// anybody on the path may send one. See [WithNetworkErrors].
type NetworkError struct {
	Dst      netip.AddrPort // where the datagram was sent to
	Offender netip.Addr     // the router or host that sent the error, if known
	MTU      int            // what would fit, in bytes with headers, if Err is EMSGSIZE; else 0
	Err      error          // a syscall.Errno: ECONNREFUSED, EHOSTUNREACH, EMSGSIZE and so on
}

// Error names the destination, the error and its origin.
func (e *NetworkError) Error() string {
	s := "datagram to " + e.Dst.String() + ": " + e.Err.Error()
	if e.Offender.IsValid() {
		s += " (reported by " + e.Offender.String() + ")"
	}
	return s
}

// Unwrap returns the errno.
func (e *NetworkError) Unwrap() error { return e.Err }

// tellNetworkErrors counts network errors and tells the error handler.
func (c *Conn) tellNetworkErrors(list socket.NetworkErrors) {
	if len(list) == 0 {
		return
	}
	c.recv.countErrors(len(list))
	handle := c.config.errorHandler
	if handle == nil {
		return
	}
	for _, e := range list {
		handle(&NetworkError{Dst: e.Dst, Offender: e.Offender, MTU: e.MTU, Err: e.Errno})
	}
}

// lookForNetworkErrors tells, on another goroutine, of the network errors that a send met.
func (c *Conn) lookForNetworkErrors() {
	if c.looking.Swap(true) || !c.enter() {
		return
	}
	go func() {
		defer c.leave()
		for {
			c.looking.Store(false) // what comes now is for this or another goroutine
			list := c.socket().NetworkErrors()
			if len(list) == 0 {
				return
			}
			c.tellNetworkErrors(list)
		}
	}()
}

// argumentError is the error of a call with arguments that none may have. A closed handle says that it is closed.
func (c *Conn) argumentError() error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return syscall.EINVAL
}

// opError says what was tried, and with which addresses. Errors that programs
// compare and retry on stay bare: wrapping would allocate.
func (c *Conn) opError(op string, addr net.Addr, err error) error {
	switch {
	case err == nil:
		return nil
	case err == ErrQueueFull, err == ErrWouldBlock, err == context.Canceled, err == context.DeadlineExceeded:
		return err
	}
	if already := (*net.OpError)(nil); errors.As(err, &already) {
		return err
	}
	e := &net.OpError{Op: op, Net: "udp", Addr: addr, Err: err}
	if s := c.socket(); s != nil {
		e.Net = s.info.Network
		if errors.Is(err, net.ErrClosed) {
			return e // the addresses went with the socket
		}
		if local := c.LocalAddr(); local.IsValid() {
			e.Source = net.UDPAddrFromAddrPort(local)
		}
	}
	return e
}

// addrError is opError for an Internet address.
func (c *Conn) addrError(op string, addr netip.AddrPort, err error) error {
	if err == nil {
		return nil
	}
	if !addr.IsValid() {
		return c.opError(op, nil, err)
	}
	return c.opError(op, net.UDPAddrFromAddrPort(addr), err)
}

// settingError is opError for a setting, which it names. The op is "get" or "set".
func (c *Conn) settingError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return c.opError(op, nil, &socket.SettingError{Name: name, Err: err})
}
