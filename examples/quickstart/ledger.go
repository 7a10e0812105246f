package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"example.com/datagram"
)

// An account counts what became of the datagrams of one direction.
type account struct {
	name string
	// Counts of the senders.
	accepted, sent, failed uint64
	// Counts of the receivers.
	received, delivered                   uint64
	kernel, policy, stale, closed         uint64
	truncated, receiveErrors, read, wrong uint64
	// The count kernel is exact if countedAsOne is 1. Otherwise it is a lower bound: each of its
	// drops stands for up to that many datagrams.
	countedAsOne uint64
}

// from adds the counters of a sender.
func (a *account) from(s datagram.Stats) {
	a.accepted += s.Accepted
	a.sent += s.Sent
	a.failed += s.SendErrors
}

// to adds the counters of a receiver, and how many datagrams the program has read.
func (a *account) to(s datagram.Stats, read uint64) {
	a.received += s.Received
	a.delivered += s.Delivered
	a.kernel += s.KernelDrops
	a.policy += s.PolicyDrops
	a.stale += s.StaleDrops
	a.closed += s.CloseDrops
	a.truncated += s.Truncated
	a.receiveErrors += s.ReceiveErrors
	a.read += read
}

// audit returns an error for each sum that does not add up.
func (a *account) audit() error {
	var problems []error
	equal := func(what string, left, right uint64) {
		if left != right {
			problems = append(problems, fmt.Errorf("%s: %s: %d is not %d", a.name, what, left, right))
		}
	}
	equal("accepted = sent + failed", a.accepted, a.sent+a.failed)
	if least, most := a.received+a.kernel, a.received+a.kernel*a.countedAsOne; a.sent < least || a.sent > most {
		problems = append(problems, fmt.Errorf("%s: sent = received + dropped by the system: %d is not in %d…%d", a.name, a.sent, least, most))
	}
	equal("received = delivered + dropped", a.received, a.delivered+a.policy+a.stale+a.closed)
	equal("delivered = read by the program", a.delivered, a.read)
	equal("cut or wrong datagrams", a.truncated+a.wrong, 0)
	return errors.Join(problems...)
}

// isBound reports whether more datagrams were dropped by the system than it has counted.
func (a *account) isBound() bool { return a.sent != a.received+a.kernel }

// dropsOfSystem returns what the system has counted, marked if that is a lower bound.
func (a *account) dropsOfSystem() string {
	if a.isBound() {
		return fmt.Sprint("≥ ", a.kernel)
	}
	return fmt.Sprint(a.kernel)
}

// report prints the ledger, and returns an error if it does not add up.
func report(w io.Writer, server *datagram.Conn, clients []*client, read, countedAsOne uint64, elapsed time.Duration) error {
	requests := account{name: "requests", countedAsOne: countedAsOne}
	replies := account{name: "replies", countedAsOne: countedAsOne}
	s := server.Stats()
	requests.to(s, read)
	replies.from(s)
	for _, c := range clients {
		own := c.conn.Stats()
		requests.from(own)
		replies.to(own, c.read)
		replies.wrong += c.wrong
		s.SendCalls += own.SendCalls
		s.ReceiveCalls += own.ReceiveCalls
	}

	var text bytes.Buffer
	line := func(what string, a, b any) { fmt.Fprintf(&text, "%-28s %10v %10v\n", what, a, b) }
	line("", "requests", "replies")
	line("sent", requests.sent, replies.sent)
	line("failed to send", requests.failed, replies.failed)
	line("received", requests.received, replies.received)
	line("not received", requests.sent-requests.received, replies.sent-replies.received)
	line("dropped: receive buffer full", requests.dropsOfSystem(), replies.dropsOfSystem())
	line("delivered", requests.delivered, replies.delivered)
	line("dropped: overflow policy", requests.policy, replies.policy)
	line("dropped: too old", requests.stale, replies.stale)
	line("dropped: handle closed", requests.closed, replies.closed)
	line("errors of receiving", requests.receiveErrors, replies.receiveErrors)

	total := requests.received + replies.received
	fmt.Fprintf(&text, "%d datagrams in %.2f s: %.0f/s\n", total, elapsed.Seconds(), float64(total)/elapsed.Seconds())
	fmt.Fprintf(&text, "%.1f datagrams sent and %.1f received in a system call\n",
		average(requests.sent+replies.sent, s.SendCalls), average(total, s.ReceiveCalls))
	wrong := errors.Join(requests.audit(), replies.audit())
	if wrong != nil {
		wrong = fmt.Errorf("the ledger does not add up:\n%w", wrong)
	} else {
		fmt.Fprintln(&text, "the ledger adds up")
	}
	if requests.isBound() || replies.isBound() {
		fmt.Fprintf(&text, `All counts but those with ≥ are exact. What the system drops together, up to %d datagrams
of one sender, it counts as one. DATAGRAM_OFFLOAD=batch makes it count each.
`, countedAsOne)
	}
	_, err := text.WriteTo(w)
	return errors.Join(wrong, err)
}

func average(n, calls uint64) float64 {
	if calls == 0 {
		return 0
	}
	return float64(n) / float64(calls)
}
