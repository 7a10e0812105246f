package main

import (
	"context"
	"math"
	"sync"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newSink(out *output) *cobra.Command {
	s := server{out: out}
	cmd := &cobra.Command{
		Use:     "sink ADDRESS...",
		Short:   "Count datagrams, for bench --sink",
		Long:    "Count datagrams and answer none, except that of a bench that asks how many have come.",
		Example: `  datagram sink 7777`,
		Args:    wantArgs(1, math.MaxInt),
		RunE:    func(cmd *cobra.Command, args []string) error { return runSink(cmd.Context(), &s, args) },
	}
	s.flags(cmd)
	return cmd
}

func runSink(ctx context.Context, s *server, addresses []string) error {
	var flows flowCounter
	answering := context.WithoutCancel(ctx)
	return s.run(ctx, addresses, func(conn *datagram.Conn, d datagram.Datagram) {
		p, ok := parseProbe(d.Payload)
		if !ok {
			return
		}
		switch p.kind {
		case probeSink:
			flows.add(p.flow)
		case probeQuestion:
			// The answer is no longer than the question, so nobody can have more sent to a victim than he sends.
			p.kind, p.number = probeAnswer, flows.count(p.flow)
			p.put(d.Payload)
			if err := conn.Send(answering, d.Reply(d.Payload)); err != nil {
				s.out.warn(err)
			}
		}
	})
}

// A flowCounter counts probes by flow. Strangers choose flows, so it forgets the oldest of too many.
type flowCounter struct {
	mu     sync.Mutex
	counts map[uint64]uint64
	order  []uint64 // of the flows' first probes
}

// maxFlows limits how many runs of bench a sink can tell apart.
const maxFlows = 1024

func (f *flowCounter) add(flow uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[uint64]uint64)
	}
	if f.counts[flow]++; f.counts[flow] > 1 {
		return
	}
	f.order = append(f.order, flow)
	if len(f.order) > maxFlows {
		delete(f.counts, f.order[0])
		f.order = append(f.order[:0], f.order[1:]...)
	}
}

func (f *flowCounter) count(flow uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[flow]
}
