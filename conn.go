package datagram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/semaphore"

	"example.com/datagram/internal/send"
	"example.com/datagram/internal/socket"
)

// A Conn is a handle to a datagram socket, as uv_udp_t is of libuv. It may
// exist before the socket does; [Conn.Bind] or the first use makes one.
//
// All methods may be called from many goroutines at once, and from inside
// completion functions, handlers and [Conn.Serve], but for the few that would
// wait for themselves and say so. After [Conn.Close] they return
// [net.ErrClosed].
//
// Errors are *[net.OpError] with the operation, the network and the addresses,
// and match the system's errno, [net.ErrClosed] or [errors.ErrUnsupported]
// through [errors.Is].
type Conn struct {
	config config // never changes but for its settings and data

	// opening is held while a socket is made, by whoever does it: others may
	// give up waiting when their context ends.
	opening *semaphore.Weighted
	open    atomic.Pointer[openSocket]
	peer    atomic.Pointer[netip.AddrPort] // nil while unconnected

	mu sync.Mutex // guards config.settings, config.data and unsegmented
	// unsegmented is what SetSegmentation asked for.
	unsegmented bool

	closed atomic.Bool
	// alive counts what runs for the handle, itself until Close included.
	alive atomic.Int64
	done  chan struct{}

	recv receiver
	send send.Queue
	// looking says that a goroutine is about to look for network errors.
	looking atomic.Bool
}

// New returns a handle without a socket. What options and setters ask for is
// remembered until there is one. libuv calls it uv_udp_init.
func New(opts ...Option) (*Conn, error) {
	config, err := newConfig(opts)
	if err != nil {
		return nil, &net.OpError{Op: "new", Net: "udp", Err: err}
	}
	c := &Conn{
		config:  config,
		opening: semaphore.NewWeighted(1),
		done:    make(chan struct{}),
	}
	c.alive.Store(1)
	c.recv.init(c)
	c.initQueue()
	return c, nil
}

// Listen returns a handle bound to a local address. The network is "udp",
// "udp4" or "udp6"; address is as for [net.ListenPacket]: a wildcard on "udp"
// serves both families, a multicast address listens on the wildcard with
// address reuse, port 0 lets the system choose.
func Listen(ctx context.Context, network, address string, opts ...Option) (*Conn, error) {
	return opened(opts, func(c *Conn) error { return c.Bind(ctx, network, address) })
}

// Dial returns a handle connected to address: it sends to and receives from no
// one else. The local address is the system's choice. An empty host is the
// local host, as for [net.Dial].
func Dial(ctx context.Context, network, address string, opts ...Option) (*Conn, error) {
	return opened(opts, func(c *Conn) error {
		peer, err := resolve(ctx, c.config.network, network, address)
		if err != nil {
			return lookupError(ctx, "dial", network, err)
		}
		local, wildcard := "udp4", "0.0.0.0:0"
		if peer.Addr().Is6() {
			local, wildcard = "udp6", "[::]:0"
		}
		if peer.Addr().IsUnspecified() {
			loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if peer.Addr().Is6() {
				loopback = netip.IPv6Loopback()
			}
			peer = netip.AddrPortFrom(loopback, peer.Port())
		}
		err = c.Bind(ctx, local, wildcard)
		if err == nil {
			err = c.Connect(peer)
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			return &net.OpError{Op: "dial", Net: op.Net, Source: op.Source, Addr: net.UDPAddrFromAddrPort(peer), Err: op.Err}
		}
		return err
	})
}

// Open returns a handle for the socket of a file: any that keeps the datagram
// contract, among them UDP, raw IP, ICMP ping, Unix datagram, netlink and
// packet sockets, bound and connected or not. The handle works on a duplicate;
// f stays the caller's to close. The socket is shared with f: it becomes
// non-blocking. libuv calls it uv_udp_open.
//
// A file that is not a socket is ENOTSOCK, a stream socket EPROTOTYPE. What a
// family cannot do, as a TTL on netlink, is [errors.ErrUnsupported]. Since
// others may read from the socket, coalescing on receive is left as it is
// unless [OffloadAll] is asked for with [WithOffload], and so is whether it
// hears of groups that only others have joined.
func Open(f *os.File, opts ...Option) (*Conn, error) {
	return opened(opts, func(c *Conn) error {
		if f == nil {
			return c.opError("open", nil, syscall.EINVAL)
		}
		config := c.socketConfig()
		config.Shared = !c.config.offloadAsked || c.config.offload < OffloadAll
		s, err := c.config.network.Open(f, config)
		if err != nil {
			return c.opError("open", nil, err)
		}
		return c.adopt(s, config.Settings)
	})
}

// opened returns a new handle after open, or none.
func opened(opts []Option, open func(*Conn) error) (*Conn, error) {
	c, err := New(opts...)
	if err != nil {
		return nil, err
	}
	if err := open(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Bind makes the socket and binds it to a local address, as [Listen] does. A
// handle is bound once: after the first time, also if a use of the handle did
// it, Bind is EINVAL. A Bind that failed leaves the handle without a socket, to
// be tried again. Names are looked up until ctx ends. libuv calls it
// uv_udp_bind.
func (c *Conn) Bind(ctx context.Context, network, address string) error {
	if ctx == nil || c.closed.Load() {
		return c.opError("listen", nil, c.argumentError())
	}
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return c.opError("listen", nil, net.UnknownNetworkError(network))
	}
	address, err := c.numeric(ctx, network, address)
	if err != nil {
		return lookupError(ctx, "listen", network, err)
	}
	if err := c.acquire(ctx); err != nil {
		return c.opError("listen", nil, err)
	}
	defer c.opening.Release(1)
	if s := c.socket(); s != nil {
		return c.bindOpen(ctx, s, network, address)
	}
	return c.makeSocket(ctx, network, address, nil)
}

// Connect sets the peer: from now on the handle sends to peer, without naming
// it, and receives from no one else; what others sent before and was not
// delivered yet is dropped and counted in [Stats].PolicyDrops, but for what
// lies in a channel that StopRecv has closed, until receiving is resumed. A
// connected handle is told of ICMP errors, as ECONNREFUSED, by a later send or
// receive. A handle without a socket is bound first. Connecting a connected
// handle is EISCONN. libuv calls it uv_udp_connect.
func (c *Conn) Connect(peer netip.AddrPort) error {
	return c.addrError("connect", peer, c.connect(unmap(peer)))
}

func (c *Conn) connect(peer netip.AddrPort) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if !peer.IsValid() {
		return syscall.EINVAL
	}
	if c.peer.Load() != nil {
		return syscall.EISCONN
	}
	s, made, err := c.ensureWith(context.Background(), peer.Addr().Is4(), func(s socket.Socket) error { return s.Connect(peer) })
	if err != nil || made {
		return err
	}
	if err := c.acquire(context.Background()); err != nil {
		return err
	}
	defer c.opening.Release(1)
	if c.peer.Load() != nil {
		return syscall.EISCONN
	}
	if err := s.Connect(peer); err != nil {
		return err
	}
	if remote := s.Info().Remote; remote.IsValid() {
		peer = remote // the system connects the wildcard to the loopback address
	}
	c.peer.Store(&peer)
	c.recv.dropStrangers(peer)
	return nil
}

// Disconnect dissolves the association with the peer and keeps the local
// address and port. Where the system forgets a port that it had chosen itself,
// as Linux does, it is bound again; if another socket took it in between, that
// error is returned. macOS and the BSDs forget the address: there a handle that
// is bound to one, and not to all, stays connected, with errors.ErrUnsupported.
// Queued datagrams still go to the peer they were accepted for. An unconnected
// handle is ENOTCONN. In libuv it is uv_udp_connect without an address.
func (c *Conn) Disconnect() error {
	return c.opError("disconnect", nil, c.disconnect())
}

func (c *Conn) disconnect() error {
	if err := c.acquire(context.Background()); err != nil {
		return err
	}
	defer c.opening.Release(1)
	peer := c.peer.Load()
	if peer == nil {
		return syscall.ENOTCONN
	}
	s, err := c.existing()
	if err != nil {
		return err
	}
	c.peer.Store(nil)
	err = s.Connect(netip.AddrPort{})
	if err != nil && s.Info().Remote.IsValid() {
		c.peer.Store(peer) // still connected
	}
	return err
}

// LocalAddr returns the address that the handle is bound to. It is zero while
// there is none and after Close. libuv calls it uv_udp_getsockname.
func (c *Conn) LocalAddr() netip.AddrPort {
	s, err := c.existing()
	if err != nil {
		return netip.AddrPort{}
	}
	local := s.Info().Local
	if local.Port() == 0 && s.info.UDP {
		return netip.AddrPort{}
	}
	return local
}

// RemoteAddr returns the peer of a connected handle. It is zero while
// unconnected and after Close. libuv calls it uv_udp_getpeername.
func (c *Conn) RemoteAddr() netip.AddrPort {
	if peer := c.peer.Load(); peer != nil && !c.closed.Load() {
		return *peer
	}
	return netip.AddrPort{}
}

// SyscallConn returns raw access to the socket. It changes nothing about it: a
// raw read may return coalesced datagrams, unless [WithOffload] says otherwise.
// Do not call Close from inside its functions, as Close waits for them. Before
// there is a socket it is EBADF. libuv calls it uv_fileno.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	s, err := c.existing()
	if err != nil {
		return nil, c.opError("raw", nil, err)
	}
	raw, err := s.SyscallConn()
	return raw, c.opError("raw", nil, err)
}

// File returns a duplicate of the socket's descriptor, as [net.UDPConn.File]
// does. It is the caller's to close. It shares the socket and its mode with
// the handle. Before there is a socket it is EBADF.
func (c *Conn) File() (*os.File, error) {
	s, err := c.existing()
	if err != nil {
		return nil, c.opError("file", nil, err)
	}
	f, err := s.File()
	return f, c.opError("file", nil, err)
}

// Data returns what SetData or [WithData] set: anything that the program wants
// to find with the handle. It works on closed handles too.
func (c *Conn) Data() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config.data
}

// SetData sets what Data returns.
func (c *Conn) SetData(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config.data = v
}
