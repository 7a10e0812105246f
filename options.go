package datagram

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"example.com/datagram/internal/socket"
)

// An Option configures a new [Conn]. If an option is given several times, the
// last one counts. An option whose value is out of range makes the constructor
// fail with EINVAL. An option that the system refuses makes the call that
// creates the socket fail. Both errors name the option.
type Option func(*config) error

// config holds what options set.
type config struct {
	settings settings // of the socket, initially

	network       socket.Network
	wrappers      []func(socket.Network) socket.Network // wrapped around network, the first innermost
	interfaceName string
	control       func(network, address string, c syscall.RawConn) error

	recvQueue   int
	overflow    Overflow
	maxDatagram int
	maxAge      time.Duration // 0: none

	sendCount, sendBytes int

	offload      Offload
	offloadAsked bool
	environment  string // value of offloadVariable when the handle was created

	networkErrors bool
	errorHandler  func(error)
	data          any

	// These are for groups.
	exclusive     bool // the port must be free, though others may share it later
	steering      Steering
	steeringAsked bool
}

// Defaults that options override.
const (
	defaultRecvQueue   = 16 // datagrams; a longer channel is no faster, and takes memory while idle
	defaultSendCount   = 1024
	defaultSendBytes   = 4 << 20
	defaultMaxDatagram = 65535
)

// maxRecvQueue bounds the channel, whose memory is allocated at once, to what
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
		return c, invalid(offloadVariable + "=" + c.environment + " is not none, batch, nogso or nogro")
	}
	for _, opt := range opts {
		if opt == nil {
			return c, invalid("nil option")
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

// invalid returns the error of an invalid argument.
func invalid(name string) error {
	return &socket.SettingError{Name: name, Err: syscall.EINVAL}
}

// WithIPv6Only makes an IPv6 wildcard handle refuse IPv4. By default it serves
// both. With an IPv4 address the option fails with EINVAL. libuv calls it
// UV_UDP_IPV6ONLY.
func WithIPv6Only() Option { return setting(socket.IPv6Only, 1) }

// WithReuseAddr lets the handle bind a port that others have bound with the
// same option. Use it for multicast, where every member receives each datagram.
// Of unicast datagrams, on Linux the last handle bound receives all: it takes
// over the port. libuv calls it UV_UDP_REUSEADDR.
func WithReuseAddr() Option { return setting(socket.ReuseAddr, 1) }

// WithReusePort lets the handle share a port with others of the same user that
// have the same option; the system distributes flows among them. It is
// errors.ErrUnsupported on systems that do not balance the load: all but Linux
// and FreeBSD. [ListenGroup] uses it. If the system chooses the port, it is one
// that nobody shares yet. libuv calls it UV_UDP_REUSEPORT.
func WithReusePort() Option { return setting(socket.ReusePort, 1) }

// Steering determines which handle of a [Group] gets a datagram. See
// [WithSteering].
type Steering uint8

const (
	// SteerFlow goes by the addresses and ports of sender and receiver: a handle
	// gets all datagrams of a flow.
	SteerFlow Steering = iota
	// SteerCPU goes by the processor that has received the datagram: handle cpu
	// mod n of n gets it. Where each receive queue of the network device has a
	// processor, and each handle a goroutine near it, datagrams stay in that
	// processor's caches. A flow stays with a handle only as long as the device
	// keeps it in one queue.
	SteerCPU
)

// WithSteering sets how the system distributes datagrams among the handles of a
// [Group], by default by flow. Only [ListenGroup] and [OpenGroup] take it;
// elsewhere it fails with EINVAL. SteerCPU fails with errors.ErrUnsupported on
// systems other than Linux.
func WithSteering(s Steering) Option {
	return func(c *config) error {
		if err := checkRange("steering", int(s), int(SteerFlow), int(SteerCPU)); err != nil {
			return err
		}
		c.steering, c.steeringAsked = s, true
		return nil
	}
}

// WithBroadcast allows sends to broadcast addresses. See [Conn.SetBroadcast].
func WithBroadcast() Option { return setting(socket.Broadcast, 1) }

// WithTTL sets the IPv4 time to live and the IPv6 hop limit, 1 to 255. See
// [Conn.SetTTL].
func WithTTL(ttl int) Option { return setting(socket.TTL, ttl) }

// WithTrafficClass sets the IPv4 type of service and the IPv6 traffic class of
// datagrams that do not specify one in [Metadata].
func WithTrafficClass(tc uint8) Option { return setting(socket.TrafficClass, int(tc)) }

// WithMulticastLoopback sets whether datagrams to groups are also delivered on
// this host. See [Conn.SetMulticastLoopback].
func WithMulticastLoopback(on bool) Option { return setting(socket.MulticastLoopback, boolInt(on)) }

// WithMulticastTTL sets the time to live of datagrams to groups, 1 to 255. See
// [Conn.SetMulticastTTL].
func WithMulticastTTL(ttl int) Option { return setting(socket.MulticastTTL, ttl) }

// WithMulticastInterface sets the interface that datagrams to groups leave by;
// nil lets the system choose. See [Conn.SetMulticastInterface].
func WithMulticastInterface(ifi *net.Interface) Option {
	return setting(socket.MulticastInterface, interfaceIndex(ifi))
}

// WithReadBuffer requests a size in bytes for the system's receive buffer. See
// [Conn.SetReadBuffer].
func WithReadBuffer(bytes int) Option { return setting(socket.ReadBuffer, bytes) }

// WithWriteBuffer requests a size in bytes for the system's send buffer. See
// [Conn.SetWriteBuffer].
func WithWriteBuffer(bytes int) Option { return setting(socket.WriteBuffer, bytes) }

// WithInterface binds the handle to a network interface: it receives and sends
// through no other. It fails with errors.ErrUnsupported on systems other than
// Linux and macOS.
//
// The name selects an interface when the socket is created. The handle then
// stays with that interface even if it is renamed or goes down. After the
// interface is removed, the handle receives nothing, and sends fail with ENODEV
// or ENETUNREACH. An interface that replaces it, even one of the same name,
// needs a new handle.
func WithInterface(name string) Option {
	return func(c *config) error {
		if name == "" {
			return invalid("interface without a name")
		}
		c.interfaceName = name
		return nil
	}
}

// Overflow determines what happens to received datagrams if the reader is
// slower than they arrive. See [WithRecvQueue].
type Overflow uint8

const (
	// Block leaves them in the system's receive buffer. When that is full, the
	// system drops the newest: see [Stats].KernelDrops.
	Block Overflow = iota
	// DropNewest drops datagrams that arrive when the channel is full: see
	// [Stats].PolicyDrops.
	DropNewest
	// DropOldest drops the datagram that has waited longest in the channel: see
	// [Stats].PolicyDrops.
	DropOldest
)

// WithRecvQueue sets the capacity of the channel of [Conn.Recv], 1 to 1,048,576
// datagrams, and what happens when it is full. The defaults are 16 and [Block].
func WithRecvQueue(n int, full Overflow) Option {
	return func(c *config) error {
		if err := cmp.Or(checkRange("receive queue", n, 1, maxRecvQueue),
			checkRange("overflow policy of the receive queue", int(full), int(Block), int(DropOldest))); err != nil {
			return err
		}
		c.recvQueue, c.overflow = n, full
		return nil
	}
}

// WithSendQueue limits the send queue to a number of datagrams and a number of
// payload bytes, each at least 1. The defaults are 1,024 and 4 MiB. A datagram
// larger than the limit in bytes is accepted when the queue is empty. A
// datagram counts until the system has answered for it; it no longer counts
// while its completion function is pending (see [Conn.SendFunc]).
func WithSendQueue(count, bytes int) Option {
	return func(c *config) error {
		if err := cmp.Or(checkRange("datagrams of the send queue", count, 1, math.MaxInt),
			checkRange("bytes of the send queue", bytes, 1, math.MaxInt)); err != nil {
			return err
		}
		c.sendCount, c.sendBytes = count, bytes
		return nil
	}
}

// WithMaxDatagramSize limits how many bytes of a datagram are received, at
// least 1 and by default 65,535. Longer datagrams are truncated and marked
// [Datagram].Partial. Larger values, up to 1 GiB, are for Unix sockets.
func WithMaxDatagramSize(bytes int) Option {
	return func(c *config) error {
		if err := checkRange("maximum datagram size", bytes, 1, 1<<30); err != nil {
			return err
		}
		c.maxDatagram = bytes
		return nil
	}
}

// A MetadataKind is a kind of [Metadata] that can be requested for received
// datagrams.
type MetadataKind uint8

// The kinds of metadata.
const (
	MetaLocal        MetadataKind = iota // Local and IfIndex
	MetaHopLimit                         // HopLimit
	MetaTrafficClass                     // TrafficClass
	MetaTime                             // Time
)

// WithMetadata requests metadata for received datagrams. Several WithMetadata
// options add up.
//
// [MetaLocal] is on by default for handles bound to a wildcard address, so that
// [Datagram.Reply] answers from the address that was asked. It is also on by
// default for handles bound to an IPv4 address that is link-local,
// 255.255.255.255 or a group's, so that Reply uses the right interface.
//
// Kinds that the system lacks fail with errors.ErrUnsupported: all on Windows,
// MetaTrafficClass over IPv4 on NetBSD and OpenBSD, and on macOS and the BSDs
// all but MetaTime for a handle that serves both families.
func WithMetadata(kinds ...MetadataKind) Option {
	return func(c *config) error {
		for _, kind := range kinds {
			if err := checkRange("metadata kind", int(kind), 0, int(MetaTime)); err != nil {
				return err
			}
			c.settings.remember(socket.ReceiveLocal+socket.Option(kind), 1)
		}
		return nil
	}
}

// WithNetworkErrors passes ICMP errors about datagrams that the handle sent, to
// any destination, to the function set by [WithErrorHandler], as
// [*NetworkError]. The handle reads them while it receives or sends. An ICMP
// error about one datagram never fails another: a send that encounters it is
// retried. The option fails with errors.ErrUnsupported on systems other than
// Linux. libuv calls it UV_UDP_LINUX_RECVERR.
//
// Only with this option does Linux report, with ENOBUFS, that the network
// device's queue has no room for a datagram; without it, Linux drops such
// datagrams silently. See [Conn.Send].
func WithNetworkErrors() Option {
	return func(c *config) error {
		c.networkErrors = true
		return nil
	}
}

// WithDontFragment prevents the fragmentation of datagrams that the handle
// sends. A datagram that does not fit the network interface fails with
// EMSGSIZE; one that does not fit the path beyond is lost. The option is
// errors.ErrUnsupported on NetBSD and OpenBSD for IPv4, and on macOS and the
// BSDs for a handle that serves both families.
func WithDontFragment() Option { return setting(socket.DontFragment, 1) }

// WithMaxAge drops received datagrams that are older than d, measured from when
// the system received them, so that an overloaded server spends its time on
// requests that are still waited for. [Stats].StaleDrops counts them. The age
// is checked when a datagram enters the channel or goes to the handler. d must
// be positive.
//
// The option turns on [MetaTime]. Datagrams without a time stamp are not
// dropped: Linux starts to stamp datagrams a moment after the first socket of
// the host asks for it.
//
// Leave time for the answer; half of the clients' time-out is a good start. A
// server that can answer some 800 requests a second, with clients that wait for
// 100 milliseconds, answered this share of requests in time:
//
//	requests a second           800     1,600    3,200
//	without                    100 %      1 %      1 %
//	WithMaxAge(50 ms)          100 %    100 %    100 %
func WithMaxAge(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return &socket.SettingError{Name: "maximum age", Err: fmt.Errorf("%v is not positive: %w", d, syscall.EINVAL)}
		}
		c.maxAge = d
		c.settings.remember(socket.ReceiveTime, 1)
		return nil
	}
}

// WithErrorHandler sets a function to call with errors that no call can return:
// errors after which receiving continues, including those that a send
// encounters, and the errors of failed datagrams that were sent without a
// completion function. Without an error handler such errors are only counted.
//
// A goroutine of its own calls the function with one error at a time, in order,
// so a slow function delays nothing else. Up to 1,024 errors wait for it.
// Further ones are only counted, in [Stats].UnreportedErrors, since strangers
// can cause any number of errors. The function may call every method of the
// handle. [Conn.SetErrorHandler] sets it later.
func WithErrorHandler(handle func(error)) Option {
	return func(c *config) error {
		if handle == nil {
			return invalid("nil error handler")
		}
		c.errorHandler = handle
		return nil
	}
}

// Offload is how much batching and offloading a handle may use. See
// [WithOffload].
type Offload uint8

const (
	// OffloadNone moves one datagram in each system call.
	OffloadNone Offload = iota
	// OffloadBatch moves several datagrams in a system call.
	OffloadBatch
	// OffloadAll also lets the system segment datagrams that are sent and
	// coalesce those that are received.
	OffloadAll
)

// WithOffload limits the batching and offloading that the handle uses, by
// default [OffloadAll]. It is no error if the system offers less: see
// [Conn.Capabilities]. A kernel that is known to corrupt the datagrams it
// segments does not segment unless the program asks for OffloadAll.
//
// With [OffloadBatch], others that read from the same socket, through
// [Conn.SyscallConn] or [Conn.File], never receive coalesced datagrams.
func WithOffload(o Offload) Option {
	return func(c *config) error {
		if err := checkRange("offload", int(o), int(OffloadNone), int(OffloadAll)); err != nil {
			return err
		}
		c.offload, c.offloadAsked = o, true
		return nil
	}
}

// WithControl sets a function to call with each socket after its options are
// set and before it is bound, like [net.ListenConfig].Control. For [Open],
// network and address describe the socket as it is. The function must not call
// methods of the handle.
//
// On Linux, datagrams that a socket filter attached there (SO_ATTACH_FILTER)
// refuses count as if the receive buffer had been full: in [Stats].KernelDrops.
func WithControl(control func(network, address string, c syscall.RawConn) error) Option {
	return func(c *config) error {
		if control == nil {
			return invalid("nil control function")
		}
		c.control = control
		return nil
	}
}

// WithData sets the value that [Conn.Data] returns.
func WithData(v any) Option {
	return func(c *config) error {
		c.data = v
		return nil
	}
}
