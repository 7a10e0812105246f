package datagram

import (
	"errors"
	"fmt"
	"strings"

	"example.com/datagram/internal/socket"
)

// Capabilities tell what a handle uses of what the system offers, and why it
// does not use the rest: it was not asked for, or the system does not have it.
// Printed, they are what a bug report needs.
type Capabilities struct {
	// System is the operating system, its release if known, and the architecture.
	System string

	// Batch is moving several datagrams in a system call: recvmmsg and sendmmsg.
	Batch Feature
	// GSO is generic segmentation offload: datagrams of one size to one
	// destination leave as one message, which the system or the network device
	// cuts.
	GSO Feature
	// GRO is generic receive offload: the system hands over datagrams of one sender
	// as one message, which the handle cuts.
	GRO Feature
	// ReceiveMessages and SendMessages are the most messages that a system call
	// moves, Segments the most datagrams that a message sent with GSO holds.
	// They are 1 without Batch and GSO.
	ReceiveMessages, SendMessages, Segments int

	// Local, HopLimit, TrafficClass and Time are the kinds of metadata that received datagrams
	// have: see [WithMetadata]. Local is on by default for handles bound to a wildcard address.
	Local, HopLimit, TrafficClass, Time Feature
	// NetworkErrors and DontFragment are what the options of these names ask for.
	NetworkErrors, DontFragment Feature
	// KernelDrops says whether the system tells what [Stats].KernelDrops counts.
	KernelDrops Feature

	// ReadBuffer and WriteBuffer are the socket's buffers.
	ReadBuffer, WriteBuffer Buffer
}

// A Feature says whether something is in use, and the reason if it is not or not
// everywhere.
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

// A Buffer says how large a buffer of the system is, in bytes.
type Buffer struct {
	Asked   int    // what the program asked for, 0 if it did not
	Granted int    // what there is, as the system reports it: see [Conn.ReadBuffer]
	Reason  string // what limits it, if that is less than was asked for
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

// String returns the capabilities as lines of a table.
func (c Capabilities) String() string {
	var b strings.Builder
	for _, row := range []struct {
		name  string
		value any
	}{
		{"system", c.System},
		{"batch", c.Batch},
		{"GSO", c.GSO},
		{"GRO", c.GRO},
		{"at a time", fmt.Sprintf("%d messages received, %d sent, %d datagrams in one", c.ReceiveMessages, c.SendMessages, c.Segments)},
		{"local address", c.Local},
		{"hop limit", c.HopLimit},
		{"traffic class", c.TrafficClass},
		{"time stamp", c.Time},
		{"network errors", c.NetworkErrors},
		{"don't fragment", c.DontFragment},
		{"kernel drops", c.KernelDrops},
		{"read buffer", c.ReadBuffer},
		{"write buffer", c.WriteBuffer},
	} {
		fmt.Fprintf(&b, "%-14s %v\n", row.name, row.value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Capabilities returns what the handle uses now. Before there is a socket
// nothing is in use.
func (c *Conn) Capabilities() Capabilities {
	s, err := c.existing()
	if err != nil {
		none := Feature{Reason: err.Error()}
		return Capabilities{
			System: socket.System(), Batch: none, GSO: none, GRO: none,
			Local: none, HopLimit: none, TrafficClass: none, Time: none,
			NetworkErrors: none, DontFragment: none, KernelDrops: none,
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
	if _, ok := s.Drops(); ok {
		caps.KernelDrops.Active = true
	} else {
		caps.KernelDrops.Reason = errors.ErrUnsupported.Error()
	}
	return caps
}

// buffer describes one of the socket's buffers.
func (c *Conn) buffer(s *openSocket, option socket.Option) Buffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := Buffer{Asked: c.config.settings.value[option]}
	b.Granted, _ = s.Option(option)
	b.Reason = socket.ShortBuffer(option, b.Asked, b.Granted)
	return b
}

// SetSegmentation turns the use of GSO on or off at run time, for networks
// that corrupt what they segment, which no error tells. It has no effect
// where GSO is not used anyway, and is remembered until there is a socket.
func (c *Conn) SetSegmentation(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsegmented = !on
	if s := c.socket(); s != nil {
		s.SetSegmentation(on)
	}
}

// PathMTU returns the size in bytes of the largest IP packet that the system
// believes to fit the path to the peer, headers included. An unconnected handle
// is ENOTCONN, and EBADF before there is a socket. It is
// [errors.ErrUnsupported] on systems that do not tell.
func (c *Conn) PathMTU() (int, error) {
	return c.get(socket.PathMTU)
}

// limits are what options and the environment leave of the offloads.
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

// offloadVariable is an environment variable that limits the offloads of all handles of a program
// below what WithOffload asks for: none, batch, nogso, nogro. Another value fails New with EINVAL.
const offloadVariable = "DATAGRAM_OFFLOAD"
