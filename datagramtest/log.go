package datagramtest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// An Action is something that happens to a datagram on the network.
type Action uint8

// The actions. See [Stats] for their meanings.
const (
	Sent Action = iota
	Delivered
	Lost
	Duplicated
	Reordered
	Corrupted
	Refused
	Overflowed
	actions // number of actions
)

var actionNames = [actions]string{
	Sent: "sent", Delivered: "delivered", Lost: "lost", Duplicated: "duplicated", Reordered: "reordered",
	Corrupted: "corrupted", Refused: "refused", Overflowed: "overflowed",
}

// String returns the action in lower case.
func (a Action) String() string {
	if a < actions {
		return actionNames[a]
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// An Event is an action and the datagram that it happened to.
//
// Reason tells why a datagram was Lost or Overflowed, and is empty for other
// actions. A datagram is lost to a "filter", a "partition", the "MTU" of a link
// on the way to a group, or the Loss of a "link", because a group has "no
// member" or no longer has one, or because the "network closed". It overflows
// the queue of a "link" or a "receive buffer".
type Event struct {
	Time     time.Duration // since the network was created
	Action   Action
	Reason   string
	From, To netip.AddrPort
	Number   uint64 // ordinal on the path, from 0; a copy has that of its original
	Size     int    // of the payload in bytes
}

// String returns the event in one line.
func (e Event) String() string {
	s := fmt.Sprintf("%v %v -> %v #%d, %d bytes: %v", e.Time, e.From, e.To, e.Number, e.Size, e.Action)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// maxEvents limits the log, to about 8 MB.
const maxEvents = 1 << 16

// Log returns what happened to datagrams, in order. It holds the last 65,536
// events.
func (n *Network) Log() []Event {
	n.lock()
	defer n.mu.Unlock()
	return slices.Concat(n.log.events[n.log.oldest:], n.log.events[:n.log.oldest])
}

// A log is a ring of events.
type log struct {
	events []Event
	oldest int // 0 until the ring is full
}

func (l *log) add(e Event) {
	if len(l.events) < maxEvents {
		l.events = append(l.events, e)
		return
	}
	l.events[l.oldest] = e
	l.oldest = (l.oldest + 1) % maxEvents
}
