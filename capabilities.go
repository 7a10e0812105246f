package datagram

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"example.com/datagram/internal/socket"
)

// Capabilities describe which of the system's features a handle uses, and why
// it does not use the others: the program did not ask, or the system lacks
// them. Include their printed form in bug reports.
type Capabilities struct {
	// System is the operating system, its release if known, and the architecture.
	System string

	// Batch is moving several datagrams in one system call, by recvmmsg and
	// sendmmsg.
	Batch Feature
	// GSO is generic segmentation offload: datagrams of one size to one
	// destination leave as one message, which the system or the network device
	// splits.
	GSO Feature
	// GRO is generic receive offload: the system delivers datagrams of one
	// sender as one message, which the handle splits.
	GRO Feature
	// ReceiveMessages and SendMessages are the maximum numbers of messages that
	// one system call moves. Segments is the maximum number of datagrams in one
	// message sent with GSO. They are 1 without Batch and GSO.
	ReceiveMessages, SendMessages, Segments int

	// Local, HopLimit, TrafficClass and Time are the kinds of metadata that
	// received datagrams carry: see [WithMetadata].
	Local, HopLimit, TrafficClass, Time Feature
	// Balancing is distributing what arrives for a port among the handles that
	// share it: see [ListenGroup] and [WithReusePort].
	Balancing Feature
	// NetworkErrors and DontFragment are what the options of these names
	// request.
	NetworkErrors, DontFragment Feature
	// KernelDrops tells whether the system reports the drops that
	// [Stats].KernelDrops counts.
	KernelDrops Feature

	// ReadBuffer and WriteBuffer are the socket's buffers in the system.
	ReadBuffer, WriteBuffer Buffer
}

// A Feature tells whether a feature is in use, and the reason if it is not, or
// not everywhere.
type Feature struct {
	Active bool
	Reason string
}

// String returns "on" or "off" and the reason.
func (f Feature) String() string {
	state := "off"
	if f.Active {
		state = "on"
	}
	if f.Reason != "" {
		state += " (" + f.Reason + ")"
	}
	return state
}

// A Buffer describes the size of a system buffer in bytes.
type Buffer struct {
	Asked   int    // requested by the program, or 0
	Granted int    // as the system reports it: see [Conn.ReadBuffer]
	Reason  string // what limits it, if less than requested was granted
}

// String returns the sizes and the reason.
func (b Buffer) String() string {
	s := fmt.Sprint(b.Granted, " bytes")
	if b.Asked > 0 {
		s += fmt.Sprint(", asked for ", b.Asked)
	}
	if b.Reason != "" {
		s += " (" + b.Reason + ")"
	}
	return s
}

// rows lists the capabilities by name.
func (c Capabilities) rows() []slog.Attr {
	text := func(name string, value any) slog.Attr { return slog.String(name, fmt.Sprint(value)) }
	return []slog.Attr{
		text("system", c.System),
		text("batch", c.Batch),
		text("GSO", c.GSO),
		text("GRO", c.GRO),
		text("at a time", fmt.Sprintf("%d messages received, %d sent, %d datagrams in one", c.ReceiveMessages, c.SendMessages, c.Segments)),
		text("local address", c.Local),
		text("hop limit", c.HopLimit),
		text("traffic class", c.TrafficClass),
		text("time stamp", c.Time),
		text("balancing", c.Balancing),
		text("network errors", c.NetworkErrors),
		text("don't fragment", c.DontFragment),
		text("kernel drops", c.KernelDrops),
		text("read buffer", c.ReadBuffer),
		text("write buffer", c.WriteBuffer),
	}
}

// String returns the capabilities as a table of several lines.
func (c Capabilities) String() string {
	var b strings.Builder
	for _, row := range c.rows() {
		fmt.Fprintf(&b, "%-14s %v\n", row.Key, row.Value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// LogValue returns a group with the rows of the table. It implements
// [slog.LogValuer].
func (c Capabilities) LogValue() slog.Value { return slog.GroupValue(c.rows()...) }

// Capabilities returns what the handle uses now. Before there is a socket,
// nothing is in use.
func (c *Conn) Capabilities() Capabilities {
	s, err := c.existing()
	if err != nil {
		none := Feature{Reason: noSocket(err)}
		return Capabilities{
			System: socket.System(), Batch: none, GSO: none, GRO: none,
			Local: none, HopLimit: none, TrafficClass: none, Time: none,
			Balancing: none, NetworkErrors: none, DontFragment: none, KernelDrops: none,
		}
	}
	f := s.Features()
	caps := Capabilities{
		System: socket.System(),
		Batch:  Feature(f.Batch), GSO: Feature(f.Segment), GRO: Feature(f.Coalesce),
		ReceiveMessages: f.ReceiveMessages, SendMessages: f.SendMessages, Segments: f.Segments,
		Local: Feature(f.Local), HopLimit: Feature(f.HopLimit), TrafficClass: Feature(f.TrafficClass), Time: Feature(f.Time),
		NetworkErrors: Feature(f.NetworkErrors), DontFragment: Feature(f.DontFragment),
		ReadBuffer: c.buffer(s, socket.ReadBuffer), WriteBuffer: c.buffer(s, socket.WriteBuffer),
	}
	switch shares, err := s.Option(socket.ReusePort); {
	case err != nil:
		caps.Balancing.Reason = errors.ErrUnsupported.Error()
	case shares == 0:
		caps.Balancing.Reason = "the port is not shared"
	default:
		caps.Balancing.Active = true
	}
	if _, ok := s.Drops(); ok {
		caps.KernelDrops.Active = true
	} else {
		caps.KernelDrops.Reason = errors.ErrUnsupported.Error()
	}
	return caps
}

// buffer describes one of the socket's buffers.
func (c *Conn) buffer(s *openSocket, option socket.Option) Buffer {
	c.wanted.mu.Lock()
	defer c.wanted.mu.Unlock()
	b := Buffer{Asked: c.wanted.value[option]}
	b.Granted, _ = s.Option(option)
	b.Reason = socket.ShortBuffer(option, b.Asked, b.Granted)
	return b
}

// SetSegmentation turns GSO on or off. Turn it off for networks that corrupt
// segmented datagrams, which no error reveals. It has no effect where GSO is
// not in use, and is remembered until there is a socket.
func (c *Conn) SetSegmentation(on bool) {
	c.wanted.mu.Lock()
	defer c.wanted.mu.Unlock()
	c.wanted.unsegmented = !on
	if s := c.socket(); s != nil {
		s.SetSegmentation(on)
	}
}

// PathMTU returns the size in bytes of the largest IP packet, headers included,
// that the system believes fits the path to the peer. It returns ENOTCONN if
// the handle is unconnected, EBADF before there is a socket, and
// [errors.ErrUnsupported] on systems other than Linux.
func (c *Conn) PathMTU() (int, error) {
	return c.get(socket.PathMTU)
}

// limits returns the offloads that options and the environment allow.
func (c *config) limits() socket.Limits {
	l := socket.Limits{
		Receive:  c.maxDatagram,
		Batch:    c.offload >= OffloadBatch,
		Coalesce: c.offload >= OffloadAll,
		Segment:  c.offload >= OffloadAll,
		Insist:   c.offloadAsked,
		Reason:   "WithOffload",

		NetworkErrors: c.networkErrors,
	}
	if env := c.environment; env != "" {
		l.Batch = l.Batch && env != "none"
		l.Coalesce = l.Coalesce && env != "none" && env != "batch" && env != "nogro"
		l.Segment = l.Segment && env != "none" && env != "batch" && env != "nogso"
		if c.offload == OffloadAll {
			l.Reason = ""
		} else {
			l.Reason += " and "
		}
		l.Reason += offloadVariable + "=" + env
	}
	return l
}

// offloadVariable names the environment variable that limits the offloads of
// all handles of a program below what WithOffload asks for. Its values are
// none, batch, nogso and nogro; any other makes New fail with EINVAL.
const offloadVariable = "DATAGRAM_OFFLOAD"
