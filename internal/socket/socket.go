// Package socket is the one place that talks to the kernel. It opens datagram
// sockets, sets their options and moves batches of datagrams between them and
// memory.
//
// A [Socket] knows nothing of queues, channels or callbacks. Linux has an
// implementation of its own, all systems share a portable one, and a simulated
// network is a third. What socket addresses and control messages look like is
// in package wire, which systems have what in package systems.
package socket

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"example.com/datagram/internal/wire"
)

// A Socket is one open datagram socket.
//
// Receive has one caller at a time; all other methods may be called from many
// goroutines at once. Errors are errnos or wrap them. After Close every method
// fails with [net.ErrClosed].
type Socket interface {
	Receiver
	Sender
	Associator
	Configurer

	// Counters are the socket's own, updated as it works.
	Counters() *Counters

	SyscallConn() (syscall.RawConn, error)
	File() (*os.File, error)

	// Close frees the port. It waits for system calls in flight.
	Close() error
}

// A Receiver receives datagrams, and the errors that are about none of those
// being sent.
type Receiver interface {
	// Receive waits until there are datagrams and puts them into b. While it
	// waits it holds no memory of b's. From Interrupt until Resume it fails with
	// ErrInterrupted.
	Receive(b *Batch) error

	// Interrupt ends a Receive in progress and fails later ones until Resume.
	Interrupt()
	Resume()

	// Readable reports whether a datagram may be waiting to be received.
	Readable() bool

	// Drops returns the kernel's count of datagrams that found the receive
	// buffer full, if it keeps one. It wraps at 32 bits.
	Drops() (drops uint32, ok bool)

	// NetworkErrors returns the network errors that were not reported yet.
	NetworkErrors() NetworkErrors
	// PendingErrors returns the errors that sends have met since the last call
	// and that are not about what they sent: the kernel reports an earlier
	// datagram, or that it has changed the socket. Each is what Receive would
	// have returned, and Counters.NetworkErrors grows with each.
	PendingErrors() []error
}

// A Sender sends datagrams.
type Sender interface {
	// Send gives datagrams to the kernel in order and returns how many it took.
	// If it did not take all, the error is about the first of the others; nil
	// means to try them again. When the kernel has no room Send waits if wait is
	// set, else it fails with EAGAIN.
	Send(ds []Outgoing, wait bool) (int, error)

	// SetSegmentation turns segmentation offload on or off, within the limits,
	// and Segments reports whether it is on.
	SetSegmentation(on bool)
	Segments() bool
}

// An Associator has a local address and may have a peer.
type Associator interface {
	// Info describes the socket as it is now.
	Info() Info

	// Bind and Connect are bind(2) and connect(2). Connecting to the zero
	// AddrPort dissolves the association and keeps the local address.
	Bind(netip.AddrPort) error
	Connect(netip.AddrPort) error
}

// A Configurer has options and multicast memberships.
type Configurer interface {
	SetOption(Option, int) error
	Option(Option) (int, error)
	Membership(Membership) error

	// Features says which of the limits and options are in use.
	Features() Features

	// Interface describes an interface by its index, as the socket sees it.
	Interface(index int) (*net.Interface, error)
}

// A Network opens sockets. The real one is [Kernel].
type Network interface {
	// Listen opens a socket bound to address, as net.ListenConfig would.
	Listen(ctx context.Context, network, address string, config Config) (Socket, error)

	// Open makes a Socket of a descriptor of any datagram socket. f stays the
	// caller's.
	Open(f *os.File, config Config) (Socket, error)

	// LookupNetIP returns the addresses of a host, as net.Resolver does.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)

	// Interface describes an interface by its index, as a new socket would see it.
	Interface(index int) (*net.Interface, error)
}

// These types are those of package wire.
type (
	// Family says what addresses a socket has.
	Family = wire.Family
	// Control is what control messages ask for or tell.
	Control = wire.Control
	// Ancillary is what the control messages of a received message say.
	Ancillary = wire.Ancillary
	// Name is an address of a family other than the Internet's.
	Name = wire.Name
	// RawAddr is an address in the layout of the system's struct sockaddr.
	RawAddr = wire.RawAddr
	// NetworkError is what the network reported about a datagram sent earlier.
	NetworkError = wire.NetworkError
)

// The families.
const (
	Other = wire.Other
	IPv4  = wire.IPv4
	IPv6  = wire.IPv6
	Dual  = wire.Dual
)

// Info describes an open socket.
type Info struct {
	Family Family
	// UDP is set for UDP sockets of any family.
	UDP bool
	// Network is what package net would call the socket's network.
	Network string
	// Local and Remote are zero while unbound and unconnected, and for
	// families other than the Internet's.
	Local, Remote netip.AddrPort
}

// Counters count what a socket did.
type Counters struct {
	SendCalls, ReceiveCalls atomic.Uint64 // that moved datagrams
	Retries                 atomic.Uint64 // sends that the socket repeated
	Fallbacks               atomic.Uint64 // batches that went only without segmentation offload
	NoBuffers               atomic.Uint64 // Sends that failed with ENOBUFS, as their caller counts them
	NetworkErrors           atomic.Uint64 // taken from the kernel, PendingErrors included
}

// NetworkErrors is what Receive returns instead of an errno when the socket was
// asked to report network errors.
type NetworkErrors []NetworkError

func (NetworkErrors) Error() string { return "network errors" }

// A Membership joins or leaves a multicast group.
type Membership struct {
	Group  netip.Addr
	Source netip.Addr // zero: any source
	// Interface may be nil: then it is that of the group's zone, or else the
	// system's choice.
	Interface *net.Interface
	Leave     bool
}
