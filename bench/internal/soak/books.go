package soak

import (
	"fmt"
	"strings"

	"example.com/datagram"
)

// Books sum up the ledgers of handles that are closed.
type Books struct {
	datagram.Stats
	Handles uint64
	// Exact is what was sent to receivers of which each datagram is known to have been received or
	// dropped.
	Exact uint64
	// Unseen is what was sent and no ledger tells of: because its receiver was closed, its
	// interface was down, or it was dropped in a segmented message, which the kernel counts as one.
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

// check says whether the books add up.
func (b *Books) check() error {
	if b.Sent != b.Received+b.KernelDrops+b.Unseen {
		return fmt.Errorf("the books do not add up:\n%v", *b)
	}
	return checkLedger(b.Stats)
}

// checkLedger says whether the ledger of one closed handle, or the sum of several, adds up.
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
