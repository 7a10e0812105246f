package soak

import (
	"fmt"
	"strings"

	"example.com/datagram"
)

// Books sum up the ledgers of closed handles.
type Books struct {
	datagram.Stats
	Handles uint64
	// Exact counts datagrams to receivers for which every datagram is known to have been received
	// or dropped.
	Exact uint64
	// Unseen counts datagrams that no ledger can account for: their receiver was closed, their
	// interface was down, a processor was too busy for them, or they were dropped in a segmented
	// message, which the kernel counts as one.
	Unseen uint64
}

func (b *Books) add(o Books) {
	b.Handles += o.Handles
	b.Exact += o.Exact
	b.Unseen += o.Unseen
	b.addStats(&o.Stats)
}

func (b *Books) addStats(s *datagram.Stats) {
	b.Accepted += s.Accepted
	b.Sent += s.Sent
	b.SentBytes += s.SentBytes
	b.SendErrors += s.SendErrors
	b.Received += s.Received
	b.ReceivedBytes += s.ReceivedBytes
	b.Delivered += s.Delivered
	b.Truncated += s.Truncated
	b.KernelDrops += s.KernelDrops
	b.PolicyDrops += s.PolicyDrops
	b.StaleDrops += s.StaleDrops
	b.CloseDrops += s.CloseDrops
	b.ReceiveErrors += s.ReceiveErrors
	b.Retries += s.Retries
	b.SendCalls += s.SendCalls
	b.ReceiveCalls += s.ReceiveCalls
	b.Queued += s.Queued
	b.Held += s.Held
}

// check returns an error if the books do not add up.
func (b *Books) check() error {
	if b.Sent != b.Received+b.KernelDrops+b.Unseen {
		return fmt.Errorf("the books do not add up:\n%v", *b)
	}
	return checkLedger(b.Stats)
}

// checkLedger returns an error if the ledger of a closed handle, or the sum of several, does not
// add up.
func checkLedger(s datagram.Stats) error {
	answered := s.Sent + s.SendErrors
	taken := s.Delivered + s.PolicyDrops + s.StaleDrops + s.CloseDrops
	if s.Accepted != answered || s.Received != taken || s.Queued != 0 || s.Held != 0 {
		return fmt.Errorf("the ledger does not add up:\n%v", s)
	}
	return nil
}

func (b Books) String() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%d handles\n%v\n", b.Handles, b.Stats)
	fmt.Fprintf(&t, "sent %d = received %d + dropped by the kernel %d + unseen %d; %d were in exact books",
		b.Sent, b.Received, b.KernelDrops, b.Unseen, b.Exact)
	return t.String()
}
