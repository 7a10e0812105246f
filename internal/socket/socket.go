// Package socket is the one place that talks to the kernel: it opens datagram
// sockets, sets their options and moves batches of datagrams between them and
// memory.
//
// A [Socket] knows nothing of queues, channels or callbacks. There is an
// implementation for each way of talking to a kernel, and a simulated network
// is one more.
package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/datagram/internal/buffer"
)

// A Socket is one open datagram socket.
//
// Receive has one caller at a time; all other methods may be called from many
// goroutines at once. Errors are errnos or wrap them. After Close every method
// fails with [net.ErrClosed].
type Socket interface {
	// Receive waits until there are datagrams and puts them into b. While it
	// waits it holds no memory of b's. It fails with ErrInterrupted from
	// Interrupt until Resume.
	Receive(b *Batch) error

	// Send hands datagrams to the kernel in order. It returns how many the
	// kernel took, and if that is not all of them either nil, when the rest may
	// just be tried again, or what is wrong with the first that it did not
	// take. When the kernel has no room Send waits if told so, else it fails
	// with EAGAIN.
	Send(ds []Outgoing, wait bool) (int, error)

	// Interrupt ends a Receive in progress and fails later ones until Resume.
	Interrupt()
	Resume()

	// Info describes the socket as it is now.
	Info() Info

	// Bind and Connect are bind(2) and connect(2). Connecting to the zero
	// AddrPort dissolves the association and keeps the local address.
	Bind(netip.AddrPort) error
	Connect(netip.AddrPort) error

	// SetSegmentation turns segmentation offload on or off, within the limits.
	SetSegmentation(on bool)
	// Features says what of the limits the system granted.
	Features() Features

	SetOption(Option, int) error
	Option(Option) (int, error)
	Membership(Membership) error

	// NetworkErrors returns the network errors that were not reported yet.
	NetworkErrors() NetworkErrors

	// Counters are the socket's own, updated as it works.
	Counters() *Counters
	// Drops is the kernel's count of datagrams that found the receive buffer
	// full, if it keeps one. It wraps at 32 bits.
	Drops() (drops uint32, ok bool)

	SyscallConn() (syscall.RawConn, error)
	File() (*os.File, error)

	// Close frees the port. It waits for system calls in flight.
	Close() error
}

// A Network opens sockets. The real one is [Kernel].
type Network interface {
	// Listen opens a socket bound to address, as net.ListenConfig would.
	Listen(ctx context.Context, network, address string, config Config) (Socket, error)

	// Open makes a Socket of any descriptor that keeps the datagram contract.
	// f stays the caller's.
	Open(f *os.File, config Config) (Socket, error)

	// LookupNetIP returns the addresses of a host, as net.Resolver does.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config says how to open a socket.
type Config struct {
	// Settings are applied before the socket is bound.
	Settings []Setting
	// Interface is the name of a device to bind to, if any.
	Interface string
	// Control is called after Settings, before the socket is bound.
	Control func(network, address string, c syscall.RawConn) error
	// LocalAddresses asks for metadata option ReceiveLocal of sockets that are bound to a
	// wildcard address, where the system has it.
	LocalAddresses bool
	// Portable asks for the implementation that every system has.
	Portable bool
	// Shared says that others may read from the socket too: whether the kernel
	// coalesces stays as it is.
	Shared bool
	Limits
}

// Limits say how the open socket receives and sends.
type Limits struct {
	// Receive is the size of the largest datagram to receive whole.
	Receive int
	// Coalesce says to let the kernel coalesce received datagrams, Segment to
	// let it segment sent ones, Batch to move several in a system call.
	Coalesce, Segment, Batch bool
	// Insist says to segment also where it is known to go wrong.
	Insist bool
	// NetworkErrors says to report network errors.
	NetworkErrors bool
	// Reason says who set the limit, where one of these is false.
	Reason string
}

// Features are what a socket does beyond moving one datagram at a time.
type Features struct {
	Batch, Segment, Coalesce            Feature
	Local, HopLimit, TrafficClass, Time Feature // metadata of received datagrams
	NetworkErrors, DontFragment         Feature

	// ReceiveMessages and SendMessages are the most messages that one system call moves,
	// Segments the most datagrams that one sent message holds.
	ReceiveMessages, SendMessages, Segments int
}

// A Feature says whether something is in use and, if not, why.
type Feature struct {
	Active bool
	Reason string
}

// feature returns the state of something that limits allow and err denies.
func feature(allowed bool, limits *Limits, err error) Feature {
	switch {
	case !allowed:
		return Feature{Reason: limits.Reason}
	case err != nil:
		return Feature{Reason: err.Error()}
	}
	return Feature{Active: true}
}

// A Setting is an option and its value.
type Setting struct {
	Option Option
	Value  int
}

// Info describes an open socket.
type Info struct {
	Family Family
	// UDP says that the socket is a UDP socket, over any family.
	UDP bool
	// Network is what package net would call the socket's network.
	Network string
	// Local and Remote are zero while unbound and unconnected, and for
	// families other than the Internet's.
	Local, Remote netip.AddrPort
}

// A Family is what addresses a socket has.
type Family uint8

// The families. Dual is IPv6 that serves IPv4 too.
const (
	Other Family = iota
	IPv4
	IPv6
	Dual
)

// Counters count what a socket did.
type Counters struct {
	SendCalls, ReceiveCalls atomic.Uint64 // that moved datagrams
	Retries                 atomic.Uint64 // sends tried again by themselves
	Fallbacks               atomic.Uint64 // batches that went only without segmentation offload
	NoBuffers               atomic.Uint64 // Sends that said ENOBUFS, as their caller counts them
	NetworkErrors           atomic.Uint64 // taken from the kernel
}

// Control is what travels beside a datagram's payload. The zero value of a
// field stands for unknown, or for the socket's default.
type Control struct {
	Local        netip.Addr
	IfIndex      int
	HopLimit     int
	TrafficClass uint8
	Time         time.Time
}

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

// Incoming is a received message: a datagram, or several that the kernel
// coalesced.
type Incoming struct {
	// Payload lies in Chunk. Whoever wants to keep it takes the chunk
	// by setting the field to nil; else the next Receive overwrites it.
	Payload []byte
	Chunk   *buffer.Chunk
	// Lent and FirstPart are the receiver's: the chunk that now holds the
	// payload, and the first of the parts in which it lends it.
	Lent      *buffer.Chunk
	FirstPart int
	// SegmentSize is the size of each of the coalesced datagrams, of which the
	// last may be shorter. It is 0 for a single datagram.
	SegmentSize int
	// Truncated says that the end of the payload was discarded.
	Truncated bool
	// Elsewhere says that the datagram was sent to a broadcast or multicast
	// address, or that the system answers from the right one by itself: there
	// is none to name.
	Elsewhere bool
	// Addr is the sender of an Internet datagram, Name of any other.
	Addr    netip.AddrPort
	Name    *Name
	Control Control
}

// A Batch holds what one Receive brought.
type Batch struct {
	// Messages are valid until the next Receive or Free.
	Messages []Incoming
	// ControlErrors counts messages whose control data was lost.
	ControlErrors int

	memory memory
}

// memory is what an implementation keeps between two receives.
type memory interface {
	trim()
	free()
}

// Trim gives back what is only there for the next Receive.
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

// ErrControl says that the system had more to say of a datagram than there was room for.
var ErrControl = errors.New("control messages truncated")

// A Membership joins or leaves a multicast group.
type Membership struct {
	Group  netip.Addr
	Source netip.Addr // zero: any source
	// Interface is nil for that of the group's zone, or else the system's choice.
	Interface *net.Interface
	Leave     bool
}
