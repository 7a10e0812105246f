package datagram

import (
	"fmt"
	"strings"
	"syscall"

	"example.com/datagram/internal/socket"
)

// Capabilities tell what a handle uses of what the system offers. Printed, they make
// a useful part of a bug report.
type Capabilities struct {
	// Batch is moving several datagrams in a system call: recvmmsg and sendmmsg.
	Batch Feature
	// GSO is generic segmentation offload: datagrams of one size to one
	// destination leave as one message, which the system or the network device cuts.
	GSO Feature
	// GRO is generic receive offload: the system hands over datagrams of one sender
	// as one message, which the handle cuts.
	GRO Feature
	// Local is knowing the address that a datagram was sent to.
	Local Feature
	// ReadBuffer and WriteBuffer are what the system granted, in bytes, as it
	// reports it.
	ReadBuffer, WriteBuffer int
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

// String returns the capabilities as lines of a table.
func (c Capabilities) String() string {
	var b strings.Builder
	for _, row := range []struct {
		name    string
		feature Feature
	}{{"batch", c.Batch}, {"GSO", c.GSO}, {"GRO", c.GRO}, {"local address", c.Local}} {
		fmt.Fprintf(&b, "%-14s %v\n", row.name, row.feature)
	}
	fmt.Fprintf(&b, "%-14s %d bytes\n%-14s %d bytes", "read buffer", c.ReadBuffer, "write buffer", c.WriteBuffer)
	return b.String()
}

// Capabilities returns what the handle uses now. Before there is a socket
// nothing is in use.
func (c *Conn) Capabilities() Capabilities {
	s, err := c.existing()
	if err != nil {
		none := Feature{Reason: err.Error()}
		return Capabilities{Batch: none, GSO: none, GRO: none, Local: none}
	}
	f := s.Features()
	caps := Capabilities{
		Batch: Feature(f.Batch), GSO: Feature(f.Segment), GRO: Feature(f.Coalesce), Local: Feature(f.Local),
	}
	caps.ReadBuffer, _ = s.Option(socket.ReadBuffer)
	caps.WriteBuffer, _ = s.Option(socket.WriteBuffer)
	return caps
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
// believes to fit the path to the peer, headers included. An unconnected handle is
// ENOTCONN. It is [errors.ErrUnsupported] on systems that do not tell.
func (c *Conn) PathMTU() (int, error) {
	if !c.closed.Load() && c.peer.Load() == nil {
		return 0, c.settingError(socket.PathMTU.String(), syscall.ENOTCONN)
	}
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
