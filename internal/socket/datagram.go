package socket

import (
	"errors"
	"net/netip"

	"example.com/datagram/internal/buffer"
)

// Outgoing is a datagram to send.
type Outgoing struct {
	Payload []byte
	// Addr is the destination of an Internet datagram, Name of any other.
	// Without either the datagram goes to the connected peer.
	Addr    netip.AddrPort
	Name    *Name
	Control *Control // nil for the zero Control
}

// TravelsWith reports whether two datagrams differ in nothing but payload.
func (d *Outgoing) TravelsWith(other *Outgoing) bool {
	return d.Addr == other.Addr && d.Name == other.Name &&
		(d.Control == other.Control || d.Control != nil && other.Control != nil && *d.Control == *other.Control)
}

// zones returns the zones that say by which interface a datagram leaves.
func (d *Outgoing) zones() (to, from string) {
	if d.Control != nil {
		from = d.Control.Local.Zone()
	}
	return d.Addr.Addr().Zone(), from
}

// Incoming is a received message: a datagram, or several that the kernel
// coalesced.
type Incoming struct {
	// Payload lies in Chunk. To keep it, take the chunk by setting the field to
	// nil; else the next Receive overwrites it.
	Payload []byte
	Chunk   *buffer.Chunk
	// Lent and FirstPart are the receiver's: the chunk that now holds the
	// payload, and the first of the parts in which it lends it.
	Lent      *buffer.Chunk
	FirstPart int
	// Truncated says that the end of the payload was discarded.
	Truncated bool
	// Addr is the sender of an Internet datagram, Name of any other.
	Addr netip.AddrPort
	Name *Name
	// Elsewhere is also set where the system chooses the right source by itself.
	Ancillary
}

// A Batch holds what one Receive brought.
type Batch struct {
	// Messages are valid until the next Receive or Free.
	Messages []Incoming
	// ControlErrors counts messages whose control data was lost.
	ControlErrors int
	// Waited says that nothing was there at first: all messages, or the error,
	// have come since Receive was called.
	Waited bool

	memory memory
}

// memory is what an implementation keeps between two receives.
type memory interface {
	trim()
	free()
}

// Trim gives back the memory that is only there for the next Receive.
func (b *Batch) Trim() {
	if b.memory != nil {
		b.memory.trim()
	}
}

// Free gives back the memory of the batch. The batch can be used again.
func (b *Batch) Free() {
	if b.memory != nil {
		b.memory.free()
	}
	*b = Batch{}
}

// ErrInterrupted is what Receive returns after Interrupt.
var ErrInterrupted = errors.New("receive interrupted")

// ErrControl says that the control messages of a datagram did not fit.
var ErrControl = errors.New("control messages truncated")
