package datagram

import (
	"net"
	"os"
	"syscall"
	"time"

	"example.com/datagram/internal/socket"
)

// An Option says how a [Conn] is to be made. Of options given twice the later
// one wins. An option whose value is out of range fails the constructor with
// EINVAL; one that the system refuses fails the call that makes the socket.
// Either error names the option.
type Option func(*config) error

// config is what options set, and what a Conn remembers until it has a socket.
type config struct {
	settings settings // what the socket has or will have

	network       socket.Network
	wrappers      []func(socket.Network) socket.Network // to put around network, the first innermost
	interfaceName string
	control       func(network, address string, c syscall.RawConn) error

	recvQueue   int
	overflow    Overflow
	maxDatagram int
	maxAge      time.Duration // 0: none

	sendCount, sendBytes int

	offload      Offload
	offloadAsked bool
	environment  string // what offloadVariable was when the handle was made

	networkErrors bool
	errorHandler  func(error)
	data          any
}

// Defaults that options change.
const (
	defaultRecvQueue   = 16 // datagrams; a longer channel moves no more of them, and takes memory while idle
	defaultSendCount   = 1024
	defaultSendBytes   = 4 << 20
	defaultMaxDatagram = 65535
)

// maxRecvQueue keeps a channel, whose memory is claimed at once, within what
// every system can address.
const maxRecvQueue = 1 << 20

func newConfig(opts []Option) (config, error) {
	c := config{
		network:     socket.Kernel{},
		recvQueue:   defaultRecvQueue,
		sendCount:   defaultSendCount,
		sendBytes:   defaultSendBytes,
		maxDatagram: defaultMaxDatagram,
		offload:     OffloadAll,
		environment: os.Getenv(offloadVariable),
	}
	switch c.environment {
	case "", "none", "batch", "nogso", "nogro":
	default:
		return c, invalid(offloadVariable + "=" + c.environment)
	}
	for _, opt := range opts {
		if opt == nil {
			return c, &socket.SettingError{Name: "nil option", Err: syscall.EINVAL}
		}
		if err := opt(&c); err != nil {
			return c, err
		}
	}
	for _, wrap := range c.wrappers {
		c.network = wrap(c.network)
	}
	return c, nil
}

func invalid(name string) error {
	return &socket.SettingError{Name: name, Err: syscall.EINVAL}
}

// WithIPv6Only makes a wildcard handle of IPv6 refuse IPv4, where it serves
// both by default. With an IPv4 address it is EINVAL. libuv calls it
// UV_UDP_IPV6ONLY.
func WithIPv6Only() Option { return setting(socket.IPv6Only, 1) }

// WithReuseAddr lets the handle bind a port that others have bound with the
// same option. On Linux the last of them receives all unicast datagrams: the
// port is stolen. It serves multicast, where each member receives. libuv calls
// it UV_UDP_REUSEADDR.
func WithReuseAddr() Option { return setting(socket.ReuseAddr, 1) }

// WithReusePort lets the handle share a port with others of the same user that
// have the same option; the system distributes flows among them. It is
// errors.ErrUnsupported where the system does not balance the load: on
// everything but Linux and FreeBSD. libuv calls it UV_UDP_REUSEPORT.
func WithReusePort() Option { return setting(socket.ReusePort, 1) }

// WithBroadcast allows sending to broadcast addresses. See [Conn.SetBroadcast].
func WithBroadcast() Option { return setting(socket.Broadcast, 1) }

// WithTTL sets the time to live of IPv4 and the hop limit of IPv6, 1 to 255.
// See [Conn.SetTTL].
func WithTTL(ttl int) Option { return setting(socket.TTL, ttl) }

// WithTrafficClass sets the type of service of IPv4 and the traffic class of
// IPv6 for datagrams that do not bring their own in [Metadata].
func WithTrafficClass(tc uint8) Option { return setting(socket.TrafficClass, int(tc)) }

// WithMulticastLoopback says whether datagrams to groups come back to this
// host. See [Conn.SetMulticastLoopback].
func WithMulticastLoopback(on bool) Option { return setting(socket.MulticastLoopback, boolInt(on)) }

// WithMulticastTTL sets how far datagrams to groups go, 1 to 255. See
// [Conn.SetMulticastTTL].
func WithMulticastTTL(ttl int) Option { return setting(socket.MulticastTTL, ttl) }

// WithMulticastInterface sets the interface that datagrams to groups leave by; nil leaves the
// choice to the system. See [Conn.SetMulticastInterface].
func WithMulticastInterface(ifi *net.Interface) Option {
	return setting(socket.MulticastInterface, interfaceIndex(ifi))
}

// WithReadBuffer asks for a receive buffer in the system. See
// [Conn.SetReadBuffer].
func WithReadBuffer(bytes int) Option { return setting(socket.ReadBuffer, bytes) }

// WithWriteBuffer asks for a send buffer in the system. See
// [Conn.SetWriteBuffer].
func WithWriteBuffer(bytes int) Option { return setting(socket.WriteBuffer, bytes) }

// WithInterface binds the handle to a network interface: it receives and sends
// through no other. It is errors.ErrUnsupported on systems other than Linux and
// macOS.
func WithInterface(name string) Option {
	return func(c *config) error {
		if name == "" {
			return invalid("interface")
		}
		c.interfaceName = name
		return nil
	}
}

// Overflow says what happens to received datagrams when the reader is slower
// than they come in. See [WithRecvQueue].
type Overflow uint8

const (
	// Block leaves them in the system's receive buffer. When that is full the
	// system drops the newest, counted in [Stats].KernelDrops.
	Block Overflow = iota
	// DropNewest drops those that find the channel full, counted in
	// [Stats].PolicyDrops.
	DropNewest
	// DropOldest drops what has waited longest in the channel, counted in
	// [Stats].PolicyDrops.
	DropOldest
)

// WithRecvQueue sets the capacity of the channel of [Conn.Recv] in datagrams,
// 1 to 1,048,576, by default 16, and what happens when it is full, by default
// [Block].
func WithRecvQueue(n int, full Overflow) Option {
	return func(c *config) error {
		if n < 1 || n > maxRecvQueue || full > DropOldest {
			return invalid("receive queue")
		}
		c.recvQueue, c.overflow = n, full
		return nil
	}
}

// WithSendQueue bounds the send queue by the number of datagrams and by their
// payload bytes, both at least 1 and inclusive, by default 1,024 and 4 MiB. One
// datagram larger than the bound in bytes is let in when the queue is empty.
func WithSendQueue(count, bytes int) Option {
	return func(c *config) error {
		if count < 1 || bytes < 1 {
			return invalid("send queue")
		}
		c.sendCount, c.sendBytes = count, bytes
		return nil
	}
}

// WithMaxDatagramSize limits what is received of a datagram, at least 1, by
// default 65,535 bytes. Longer ones arrive cut and are marked
// [Datagram].Partial. Values above the default serve Unix sockets.
func WithMaxDatagramSize(bytes int) Option {
	return func(c *config) error {
		if bytes < 1 || bytes > 1<<30 {
			return invalid("maximum datagram size")
		}
		c.maxDatagram = bytes
		return nil
	}
}

// A MetadataKind is something that [Metadata] can hold of a received datagram.
type MetadataKind uint8

// The kinds of metadata.
const (
	MetaLocal        MetadataKind = iota // Local and IfIndex
	MetaHopLimit                         // HopLimit
	MetaTrafficClass                     // TrafficClass
	MetaTime                             // Time
)

// WithMetadata asks for metadata of received datagrams. Given several times it
// adds. MetaLocal is on by default for handles bound to a wildcard address, so
// that [Datagram.Reply] answers from the address that was asked. What a system
// does not have is errors.ErrUnsupported: on Windows all kinds, on NetBSD and
// OpenBSD MetaTrafficClass of IPv4, on macOS and BSD all but MetaTime for both
// families at once.
func WithMetadata(kinds ...MetadataKind) Option {
	return func(c *config) error {
		for _, kind := range kinds {
			if kind > MetaTime {
				return invalid("metadata kind")
			}
			c.settings.remember(socket.ReceiveLocal+socket.Option(kind), 1)
		}
		return nil
	}
}

// WithNetworkErrors reports what routers and hosts say about datagrams that the
// handle sent, to whomever, as [*NetworkError] to the function of
// [WithErrorHandler], while the handle receives or sends. Such a report never
// fails another datagram: what the system gives it to is tried again. Linux
// also says then, with ENOBUFS, that the network device's queue had no place
// for a datagram, which it keeps to itself otherwise: see [Conn.Send]. It is
// errors.ErrUnsupported on systems other than Linux. libuv calls it
// UV_UDP_LINUX_RECVERR.
func WithNetworkErrors() Option {
	return func(c *config) error {
		c.networkErrors = true
		return nil
	}
}

// WithDontFragment forbids to fragment what the handle sends: a datagram that
// does not fit the network interface is EMSGSIZE, one that does not fit the
// path further on is lost. It is errors.ErrUnsupported where the system cannot
// do that.
func WithDontFragment() Option { return setting(socket.DontFragment, 1) }

// WithMaxAge drops received datagrams that have waited longer than d since the
// system received them, counted in [Stats].StaleDrops, so that an overloaded
// server answers requests that somebody still waits for. It is checked when a
// datagram goes into the channel or to the handler, and turns on MetaTime.
// Linux begins to stamp datagrams a moment after the first socket of the host
// asks for it; what has no time is not dropped. d must be positive.
//
// It should leave time for the answer: half of what clients wait, say. Of the answers of a server
// that can serve some 800 requests a second, to clients that wait for 100 milliseconds, so many were
// in time:
//
//	requests a second           800     1,600    3,200
//	without                    100 %      1 %      1 %
//	WithMaxAge(50 ms)          100 %    100 %    100 %
func WithMaxAge(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return invalid("maximum age")
		}
		c.maxAge = d
		c.settings.remember(socket.ReceiveTime, 1)
		return nil
	}
}

// WithErrorHandler sets a function that is told of what no call can return:
// errors after which receiving goes on, and datagrams whose sending failed and
// that came without a completion function. It is called from the goroutines of
// the handle, from several at once when both directions fail. It should return
// soon, since what it is called from waits meanwhile. It may call every method
// of the handle.
func WithErrorHandler(handle func(error)) Option {
	return func(c *config) error {
		if handle == nil {
			return invalid("error handler")
		}
		c.errorHandler = handle
		return nil
	}
}

// Offload is how much of the work on batches is left to the system.
// See [WithOffload].
type Offload uint8

const (
	// OffloadNone moves one datagram in each system call.
	OffloadNone Offload = iota
	// OffloadBatch moves several datagrams in a system call.
	OffloadBatch
	// OffloadAll also lets the system segment what is sent and coalesce what
	// is received.
	OffloadAll
)

// WithOffload limits what the handle uses of what the system offers, by default
// [OffloadAll]. What the system does not offer is not used, which is no error:
// see [Conn.Capabilities]. A kernel that is known to corrupt what it segments
// is not left to do it, unless OffloadAll is asked for.
//
// With [OffloadBatch] foreign readers of the same socket, through
// [Conn.SyscallConn] or [Conn.File], never meet coalesced datagrams.
func WithOffload(o Offload) Option {
	return func(c *config) error {
		if o > OffloadAll {
			return invalid("offload")
		}
		c.offload, c.offloadAsked = o, true
		return nil
	}
}

// WithControl sets a function that is called with each socket after its options
// are set and before it is bound, as [net.ListenConfig].Control is. For [Open]
// network and address describe the socket as it is. The function must not call
// methods of the handle.
func WithControl(control func(network, address string, c syscall.RawConn) error) Option {
	return func(c *config) error {
		if control == nil {
			return invalid("control")
		}
		c.control = control
		return nil
	}
}

// WithData sets what [Conn.Data] returns.
func WithData(v any) Option {
	return func(c *config) error {
		c.data = v
		return nil
	}
}
