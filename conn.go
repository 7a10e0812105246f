package datagram

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"example.com/datagram/internal/sendqueue"
	"example.com/datagram/internal/socket"
)

// A Conn is a handle to a datagram socket, like libuv's uv_udp_t. It may exist
// before its socket does: [Conn.Bind] or the first use creates the socket.
//
// Obtain a Conn from [New], [Listen], [Dial] or [Open]; the zero Conn is not
// usable.
//
// Multiple goroutines may call methods on a Conn simultaneously. Completion
// functions and handlers may call them too, except for the few methods
// documented to wait for those functions. After [Conn.Close], methods return
// [net.ErrClosed].
//
// Errors are *[net.OpError] values that hold the operation, the network and the
// addresses. With [errors.Is] they match the system's errno, [net.ErrClosed] or
// [errors.ErrUnsupported].
type Conn struct {
	config config // never changes

	lifetime
	binding
	wanted wantedSettings
	data   atomic.Pointer[any]

	recv     receiver
	send     sendqueue.Queue
	reporter errorReporter
	adapter  atomic.Pointer[adapter] // nil until PacketConn or UDPConn is called

	// member is the handle that joins groups for this one: the first of its Group, or itself.
	member *Conn
}

// New returns a handle without a socket. The handle remembers what options and
// setters ask for and applies it when the socket is created. libuv calls it
// uv_udp_init.
func New(opts ...Option) (*Conn, error) {
	config, err := newConfig(opts)
	if err == nil && config.steeringAsked {
		err = invalid("steering of a single handle")
	}
	if err != nil {
		return nil, &net.OpError{Op: "new", Net: "udp", Err: err}
	}
	return newConn(config), nil
}

// newConn returns a handle without a socket.
func newConn(config config) *Conn {
	c := &Conn{config: config}
	c.member = c
	c.lifetime.init()
	c.binding.init(&c.lifetime, c.makeSocket)
	c.wanted.settings = config.settings
	c.SetData(config.data)
	c.initReporter()
	c.initReceiver()
	c.initQueue()
	return c
}

// Listen returns a handle bound to a local address. The network must be "udp",
// "udp4" or "udp6". The address has the form that [net.ListenPacket] takes: a
// wildcard on "udp" serves both families, a multicast address binds the
// wildcard with address reuse, and port 0 lets the system choose. If a host
// name has several addresses, Listen uses one of them, preferably IPv4.
func Listen(ctx context.Context, network, address string, opts ...Option) (*Conn, error) {
	return opened(opts, func(c *Conn) error { return c.Bind(ctx, network, address) })
}

// Dial returns a handle connected to address. The handle sends to and receives
// from that peer only. The system chooses the local address. As in [net.Dial],
// an empty host means the local host.
//
// Dial tries the addresses of a host name in the resolver's order until it can
// connect to one. If it can connect to none, the error names each of them.
// Connecting sends nothing: Dial detects that there is no route to an address,
// but not that nobody answers there.
//
// If nothing listens at the peer, its host may report that by ICMP after a
// datagram has arrived. The error is ECONNREFUSED. It goes to the function set
// by [WithErrorHandler], whether a receive or a later send encounters it. No
// send fails with it: the datagram of a send that encounters it is sent all the
// same. Receiving continues, and [Conn.Err] remains nil.
//
// The local address does not change when the host's addresses do. If the host
// loses that address, sends on Linux fail with ENETUNREACH over IPv4; over IPv6
// they leave but get no answer. Use [Conn.Disconnect] and [Conn.Connect] to
// choose a new one.
func Dial(ctx context.Context, network, address string, opts ...Option) (*Conn, error) {
	return opened(opts, func(c *Conn) error {
		peers, err := resolveAll(ctx, c.config.network, network, address)
		if err != nil {
			return lookupError(ctx, "dial", network, err)
		}
		return c.dialAny(ctx, network, address, peers)
	})
}

// Open returns a handle for the socket of a file: a UDP, raw IP, ICMP ping,
// Unix datagram, netlink or packet socket, or any other of type SOCK_DGRAM or
// SOCK_RAW. It may be bound, connected, both or neither. An unbound socket is
// bound by [Conn.Bind] or by the first use that needs an address. libuv calls
// it uv_udp_open.
//
// The handle works on a duplicate of the descriptor, and the caller remains
// responsible for closing f. The two share the socket, which Open makes
// non-blocking.
//
// Open fails with ENOTSOCK if f is not a socket, and with EPROTOTYPE for a
// stream socket. Operations that a family does not have, such as a TTL on
// netlink, return [errors.ErrUnsupported].
//
// Others may read from the socket as well. Open therefore changes neither
// whether the socket coalesces received datagrams, unless [WithOffload] asks
// for [OffloadAll], nor whether it receives from groups that only others have
// joined.
//
// For datagrams that were queued before Open, as with socket activation, Linux
// reports neither the time nor the IPv4 interface unless the creator of the
// socket asked for them. For systemd, set PassPacketInfo=yes and
// Timestamping=ns in the socket unit (systemd.socket(5)). [Datagram.Reply]
// still answers from the address that such a datagram was sent to, but a reply
// to an IPv4 link-local sender leaves by the interface that the routing table
// selects.
func Open(f *os.File, opts ...Option) (*Conn, error) {
	return opened(opts, func(c *Conn) error { return c.openFile(f) })
}

// openFile makes f's socket that of a new handle.
func (c *Conn) openFile(f *os.File) error {
	if f == nil {
		return c.opError("open", nil, invalid("nil file"))
	}
	config := c.socketConfig()
	config.Shared = !c.config.offloadAsked || c.config.offload < OffloadAll
	s, err := c.config.network.Open(f, config)
	if err != nil {
		return c.opError("open", nil, err)
	}
	return c.adopt(s, config.Settings)
}

// opened returns a new handle after open succeeds on it.
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

// Bind creates the socket and binds it to a local address, as [Listen] does. A
// handle can be bound only once: Bind returns EINVAL if the handle is bound
// already, by Bind or by another use. A Bind that fails leaves the handle
// without a socket, and may be repeated. Bind looks up names until ctx ends.
// libuv calls it uv_udp_bind.
func (c *Conn) Bind(ctx context.Context, network, address string) error {
	if err := c.checkContext(ctx); err != nil {
		return c.opError("listen", nil, err)
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
	defer c.release()
	if s := c.socket(); s != nil {
		return c.bindOpen(ctx, s, network, address)
	}
	return c.makeSocket(ctx, network, address, nil)
}

// bindOpen binds a socket that was unbound when Open got it.
func (c *Conn) bindOpen(ctx context.Context, s *openSocket, network, address string) error {
	switch {
	case s.info.Family == socket.Other:
		return c.opError("listen", nil, invalid("address of another family"))
	case s.Info().Local.Port() != 0:
		return c.opError("listen", nil, invalid("already bound"))
	}
	if address == "" {
		address = ":0" // as for net.ListenPacket
	}
	addr, err := resolve(ctx, c.config.network, network, address)
	if err != nil {
		return c.opError("listen", nil, err)
	}
	return c.addrError("listen", addr, s.Bind(addr))
}

// Connect sets the peer. From then on the handle sends to peer without naming
// it, and receives from no one else. A handle without a socket is bound first.
// Connect returns EISCONN if the handle is connected already, and EINVAL for
// port 0, which no socket has. libuv calls it uv_udp_connect.
//
// Undelivered datagrams that others sent before Connect are dropped and counted
// in [Stats].PolicyDrops; those in a channel that StopRecv has closed are
// dropped when receiving resumes. A goroutine that reads the channel during
// Connect may see earlier datagrams out of order. For later datagrams the
// system does the filtering. Where it translates addresses, the sender that it
// reports need not equal peer. For ICMP errors such as ECONNREFUSED see [Dial].
//
// On Linux, SOCK_DESTROY, which ss -K, Android and container networks use,
// removes the peer from a socket, and the port if the system had chosen it.
// When the handle next receives or sends, it binds and connects its socket
// again, and passes ECONNABORTED to the function set by [WithErrorHandler]. If
// that fails, for instance because the port has been taken, receiving ends with
// the error (see [Conn.Err]), and the handle stays unconnected and possibly
// unbound.
func (c *Conn) Connect(peer netip.AddrPort) error {
	return c.addrError("connect", peer, c.connect(unmap(peer)))
}

func (c *Conn) connect(peer netip.AddrPort) error {
	if !peer.IsValid() {
		return c.argumentError("no peer")
	}
	_, err := c.use(context.Background(), peer.Addr().Is4(), func(s socket.Socket) error {
		if c.peer.Load() != nil {
			return syscall.EISCONN
		}
		if err := connectTo(s, peer); err != nil || c.socket() == nil { // adopt records the peer of a new socket
			return err
		}
		if remote := s.Info().Remote; remote.IsValid() {
			peer = remote // the system connects the wildcard to the loopback address
		}
		c.peer.Store(&peer)
		c.recv.setPeer(peer)
		return nil
	})
	return err
}

// connectTo connects a socket, but not to port 0: Linux would accept that, send
// to nobody, and report no peer (getpeername).
func connectTo(s socket.Socket, peer netip.AddrPort) error {
	if peer.Port() == 0 && s.Info().UDP {
		return errPortZero
	}
	return s.Connect(peer)
}

// Disconnect removes the peer and keeps the local address and port. An
// unconnected handle returns ENOTCONN. In libuv it is uv_udp_connect without an
// address. Datagrams already queued still go to the peer they were accepted
// for.
//
// Some systems, Linux among them, forget a port that they chose themselves.
// Disconnect then binds it again, and returns the error if another socket took
// it in between. macOS and the BSDs forget the address: on those, a handle
// bound to one address rather than the wildcard stays connected, and Disconnect
// returns errors.ErrUnsupported.
func (c *Conn) Disconnect() error {
	return c.opError("disconnect", nil, c.disconnect())
}

func (c *Conn) disconnect() error {
	if err := c.acquire(context.Background()); err != nil {
		return err
	}
	defer c.release()
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
		return err
	}
	c.recv.setPeer(netip.AddrPort{})
	c.reportMet()
	return err
}

// LocalAddr returns the address that the handle is bound to. It returns the
// zero AddrPort while there is none and after Close. It asks the system only
// where others may have changed the address: after [Open], [Conn.File] or
// [Conn.SyscallConn], with [WithControl], and for addresses with a zone. libuv
// calls it uv_udp_getsockname.
func (c *Conn) LocalAddr() netip.AddrPort { return c.localAddr() }

// RemoteAddr returns the peer of a connected handle. It returns the zero
// AddrPort while the handle is unconnected and after Close. libuv calls it
// uv_udp_getpeername.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remoteAddr() }

// String describes the handle in one line: its network, and its addresses or
// why it has none.
func (c *Conn) String() string {
	network := "udp"
	if s := c.socket(); s != nil {
		network = s.info.Network
	}
	s, err := c.existing()
	if err != nil {
		return network + ", " + noSocket(err)
	}
	local, remote := c.LocalAddr(), c.RemoteAddr()
	switch {
	case remote.IsValid():
		return network + " " + local.String() + " -> " + remote.String()
	case local.IsValid():
		return network + " " + local.String()
	case s.info.UDP:
		return network + ", not bound"
	}
	return network
}

// noSocket tells why there is no socket. err is the error of existing.
func noSocket(err error) string {
	if err == net.ErrClosed {
		return "closed"
	}
	return "no socket yet"
}

// SyscallConn returns raw access to the socket. The socket stays as it is, so a
// raw read may return coalesced datagrams unless [WithOffload] rules them out.
// Do not call Close from inside the functions passed to the RawConn, since
// Close waits for them. Before there is a socket SyscallConn returns EBADF.
// libuv calls it uv_fileno.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	s, err := c.existing()
	if err != nil {
		return nil, c.opError("raw", nil, err)
	}
	raw, err := s.SyscallConn()
	return raw, c.opError("raw", nil, err)
}

// File returns a duplicate of the socket's descriptor. The caller must close
// it; until then the port stays taken, even after Close. The file shares the
// socket and its mode with the handle. Unlike that of [net.UDPConn.File], its
// Fd method leaves both non-blocking. Before there is a socket File returns
// EBADF.
func (c *Conn) File() (*os.File, error) {
	s, err := c.existing()
	if err != nil {
		return nil, c.opError("file", nil, err)
	}
	f, err := s.File()
	return f, c.opError("file", nil, err)
}

// Data returns the value set by SetData or [WithData], which the program can
// use freely. It works on closed handles too.
func (c *Conn) Data() any { return *c.data.Load() }

// SetData sets the value that Data returns.
func (c *Conn) SetData(v any) { c.data.Store(&v) }
