package datagram

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"example.com/datagram/internal/socket"
)

// ErrQueueFull is returned by [Conn.TryQueue] if the send queue has no room.
// This may be momentary: the queue drains in the background. It is never
// wrapped.
var ErrQueueFull = errors.New("datagram: send queue full")

// ErrWouldBlock is returned by [Conn.TrySend] if the system has no room for the
// datagram now, or if other datagrams are queued ahead of it. It is never
// wrapped, and matches [syscall.EAGAIN]. libuv calls it UV_EAGAIN.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string        { return "datagram: send would block" }
func (wouldBlock) Is(target error) bool { return target == syscall.EAGAIN }
func (wouldBlock) Timeout() bool        { return true }
func (wouldBlock) Temporary() bool      { return true }

// A NetworkError is an ICMP error about a datagram that the handle sent. Treat
// it as a hint: anybody on the path can forge one. See [WithNetworkErrors].
type NetworkError struct {
	Dst      netip.AddrPort // destination of the datagram
	Offender netip.Addr     // router or host that sent the error, if known
	MTU      int            // largest packet that fits, in bytes with headers, if Err is EMSGSIZE; else 0
	Err      error          // a syscall.Errno, such as ECONNREFUSED, EHOSTUNREACH or EMSGSIZE
}

// Error returns the destination, the error and its origin.
func (e *NetworkError) Error() string {
	s := "datagram to " + e.Dst.String() + ": " + e.Err.Error()
	if e.Offender.IsValid() {
		s += " (reported by " + e.Offender.String() + ")"
	}
	return s
}

// Unwrap returns the errno.
func (e *NetworkError) Unwrap() error { return e.Err }

// LogValue returns a group of what is known. It implements [slog.LogValuer].
func (e *NetworkError) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("dst", e.Dst.String()), slog.String("err", e.Err.Error())}
	if e.Offender.IsValid() {
		attrs = append(attrs, slog.String("offender", e.Offender.String()))
	}
	if e.MTU != 0 {
		attrs = append(attrs, slog.Int("mtu", e.MTU))
	}
	return slog.GroupValue(attrs...)
}

// argumentError returns the error of a call with an invalid argument: EINVAL with
// what is wrong, or net.ErrClosed on a closed handle.
func (c *Conn) argumentError(wrong string) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return invalid(wrong)
}

// nilHandler is what is wrong with calls without a handler.
const nilHandler = "nil handler"

var (
	errNilContext = invalid("nil context")
	// errReceiving is returned by all ways to receive but the first.
	errReceiving = &socket.SettingError{Name: "already receiving", Err: syscall.EALREADY}
)

// checkContext returns an error for a nil context, and for any call on a closed
// handle.
func (c *Conn) checkContext(ctx context.Context) error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case ctx == nil:
		return errNilContext
	}
	return nil
}

// opError adds the operation and its addresses to an error. Errors that
// programs compare and retry on stay bare, since wrapping would allocate.
func (b *binding) opError(op string, addr net.Addr, err error) error {
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
	if s := b.socket(); s != nil {
		e.Net = s.info.Network
		if errors.Is(err, net.ErrClosed) {
			return e // the addresses went with the socket
		}
		if local := b.localAddr(); local.IsValid() {
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

// settingError is opError for a setting, which it names. op is "get" or "set".
func (c *Conn) settingError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return c.opError(op, nil, &socket.SettingError{Name: name, Err: err})
}
