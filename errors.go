package datagram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"example.com/datagram/internal/socket"
)

// ErrQueueFull is what [Conn.TryQueue] returns when the send queue has no
// room, be it only that the handle's worker had no time yet. It is returned as it is, never wrapped.
var ErrQueueFull = errors.New("datagram: send queue full")

// ErrWouldBlock is what [Conn.TrySend] returns when the system has no room for
// the datagram now, or others are queued before it. It is returned as it is, never wrapped,
// and matches [syscall.EAGAIN]. It is UV_EAGAIN of libuv.
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

// tellNetworkErrors reports network errors to the error handler.
func (c *Conn) tellNetworkErrors(list socket.NetworkErrors) {
	for _, e := range list {
		if handle := c.config.errorHandler; handle != nil {
			handle(&NetworkError{Dst: e.Dst, Offender: e.Offender, MTU: e.MTU, Err: e.Errno})
		}
	}
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

// settingError is opError for a setting, which it names.
func (c *Conn) settingError(name string, err error) error {
	if err == nil {
		return nil
	}
	return c.opError("set", nil, &socket.SettingError{Name: name, Err: err})
}
