package datagramtest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// An Action is something that the network does to a datagram.
type Action uint8

// The actions. [Stats] says what they mean.
const (
	Sent Action = iota
	Delivered
	Lost
	Duplicated
	Reordered
	Corrupted
	Refused
	Overflowed
	actions // how many there are
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

// An Event is an action with the datagram that it was done to.
//
// Reason says why a datagram was Lost or Overflowed, and is empty for other
// actions. One is lost by a "filter", a "partition", the "MTU" of a link on the
// way to a group, the Loss of a "link"; because there is "no member" of the
// group, or is none any more; or because the "network closed". It overflows the
// queue of a "link" or a "receive buffer".
type Event struct {
	Time     time.Duration // since the network was made
	Action   Action
	Reason   string
	From, To netip.AddrPort
	Number   uint64 // of the datagram on its path, from 0 on; a copy has that of its original
	Size     int    // of the payload
}

// String returns the event in a line.
func (e Event) String() string {
	s := fmt.Sprintf("%v %v -> %v #%d, %d bytes: %v", e.Time, e.From, e.To, e.Number, e.Size, e.Action)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// maxEvents bounds the log, at about 8 MB.
const maxEvents = 1 << 16

// Log returns what the network did to datagrams, in order. It goes back by 65,536
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
