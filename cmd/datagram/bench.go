package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newBench(out *output) *cobra.Command {
	b := bench{out: out}
	cmd := &cobra.Command{
		Use:   "bench HOST:PORT",
		Short: "Measure the rate, loss and latency of datagrams to a remote echo or sink",
		Long: `Measure the rate, loss and latency of datagrams to a remote echo or sink.

To an echo, a new request follows each answer, or --rate of them a second. To a
sink, datagrams go as fast as they can, or at that rate; in the end bench asks the
sink how many have come. A rate without limit is an attack on a network that others
use.`,
		Example: `  datagram echo :7777                     # on the other host
  datagram bench --in-flight 256 server.example:7777

  datagram sink :7777                     # on the other host
  datagram bench --sink --rate 50000 server.example:7777`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return b.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	networkFlag(cmd, &b.network)
	flags.BoolVar(&b.sink, "sink", false, "the peer is a sink, which answers nothing")
	flags.IntVarP(&b.size, "size", "s", 1200, "size of a datagram in `bytes`")
	flags.DurationVarP(&b.duration, "duration", "d", 10*time.Second, "how long to send")
	flags.Float64Var(&b.rate, "rate", 0, "datagrams `per second`; 0 for as many as possible")
	flags.IntVar(&b.inFlight, "in-flight", 64, "how many `requests` to an echo wait for an answer, without --rate")
	flags.DurationVarP(&b.timeout, "timeout", "t", time.Second, "how long to wait for an answer")
	cmd.AddCommand(newBenchLocal(out))
	return cmd
}

// bench holds the flags of the command.
type bench struct {
	out               *output
	network           string
	sink              bool
	size, inFlight    int
	rate              float64
	duration, timeout time.Duration
}

func (b *bench) check() error {
	return errors.Join(
		inRange("size", b.size, probeSize, maxPayload),
		inRange("duration", b.duration, time.Millisecond, 24*time.Hour),
		inRange("rate", b.rate, 0, 1e7),
		inRange("in-flight", b.inFlight, 1, 1<<20),
		inRange("timeout", b.timeout, time.Millisecond, time.Minute),
	)
}

func (b *bench) run(ctx context.Context, address string) error {
	if err := b.check(); err != nil {
		return err
	}
	conn, err := dial(ctx, b.network, address, datagram.WithErrorHandler(b.out.warn))
	if err != nil {
		return err
	}
	defer conn.Close()
	enlarge(conn)

	m := measurement{begin: time.Now(), duration: b.duration, cpu: cpuTime(), conn: conn, size: b.size, sent: newMeter(), came: newMeter()}
	var result benchResult
	if b.sink {
		result, err = b.runSink(ctx, &m)
	} else {
		result, err = b.runEcho(ctx, &m)
	}
	if err != nil {
		return err
	}
	b.out.say("summary", result)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case result.Arrived == 0:
		return shortfall("no answer from " + result.Peer)
	}
	return nil
}

// runEcho sends requests and receives the answers.
func (b *bench) runEcho(ctx context.Context, m *measurement) (benchResult, error) {
	l := newLoad(m.conn, b.size, b.inFlight, b.timeout)
	if b.rate > 0 {
		l = newPacedLoad(m.conn, b.size, b.rate, b.timeout)
	}
	look := func() benchResult {
		c, times := l.tracker.snapshot()
		return m.result(c.Sent, c.Answered, c.Lost, &times)
	}
	stop := b.out.watch(func() view { return look() })
	timed, cancel := context.WithTimeout(ctx, b.duration)
	defer cancel()
	err := l.run(timed)
	stop()
	return look(), err
}

// runSink sends datagrams, and then asks the sink how many have come.
func (b *bench) runSink(ctx context.Context, m *measurement) (benchResult, error) {
	timed, cancel := context.WithTimeout(ctx, b.duration)
	defer cancel()
	conn, flow, out := m.conn, rand.Uint64(), newBatch(b.size)
	for _, d := range out {
		probe{kind: probeSink, flow: flow}.put(d.Payload)
	}
	stop := b.out.watch(func() view { return m.result(conn.Stats().Sent, 0, 0, nil) })
	send := func(n int) error {
		_, err := conn.SendBatch(timed, out[:n])
		return err
	}
	var err error
	if b.rate > 0 {
		err = atRate(timed, b.rate, send)
	} else {
		for err == nil {
			err = send(maxBatch)
		}
	}
	stop()
	if timed.Err() == nil {
		return benchResult{}, err
	}
	if err := conn.Flush(context.WithoutCancel(ctx)); err != nil {
		return benchResult{}, err
	}
	sent := conn.Stats().Sent
	result := m.result(sent, 0, 0, nil)
	arrived, err := b.ask(ctx, conn, flow)
	result.arrive(arrived)
	result.Lost = sent - min(arrived, sent)
	return result, err
}

// ask asks a sink how many datagrams have come. The question or the answer may be lost, so it asks again.
func (b *bench) ask(ctx context.Context, conn *datagram.Conn, flow uint64) (uint64, error) {
	question := make([]byte, probeSize)
	probe{kind: probeQuestion, flow: flow}.put(question)
	for range 5 {
		if err := conn.Send(ctx, datagram.Datagram{Payload: question}); err != nil {
			return 0, context.Cause(ctx)
		}
		timeout := time.After(b.timeout)
		for waiting := true; waiting; {
			select {
			case d, ok := <-conn.Recv():
				if !ok {
					return 0, conn.Err()
				}
				p, ok := parseProbe(d.Payload)
				d.Release()
				if ok && p.kind == probeAnswer && p.flow == flow {
					return p.number, nil
				}
			case <-timeout:
				waiting = false
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
	}
	return 0, nil
}

// A measurement computes rates.
type measurement struct {
	begin      time.Time
	duration   time.Duration // of sending
	cpu        time.Duration // of the process, at begin
	conn       *datagram.Conn
	size       int
	sent, came *meter
}

// benchResult is the result so far.
type benchResult struct {
	Peer       string        `json:"peer"`
	Size       int           `json:"size"`
	Elapsed    time.Duration `json:"elapsed_ns"`
	Sent       uint64        `json:"sent"`
	Arrived    uint64        `json:"arrived"` // answers, or what the sink has counted
	Lost       uint64        `json:"lost"`
	SentRate   float64       `json:"sent_per_second"`
	Rate       float64       `json:"arrived_per_second"`
	BitRate    float64       `json:"bits_per_second"` // of payload that arrived, in one direction
	RoundTrips *roundTrips   `json:"round_trips,omitempty"`
	CPU        float64       `json:"cpu_percent"` // of one processor, of this process
	CPUEach    time.Duration `json:"cpu_per_datagram_ns"`
	SentPer    float64       `json:"sent_per_call"`
	CamePer    float64       `json:"received_per_call"`

	sentNow, cameNow float64 // rates of the last second
}

func (m *measurement) result(sent, arrived, lost uint64, times *roundTrips) benchResult {
	stats, elapsed, cpu := m.conn.Stats(), min(time.Since(m.begin), m.duration), cpuTime()-m.cpu
	r := benchResult{
		Peer: m.conn.RemoteAddr().String(), Size: m.size, Elapsed: elapsed,
		Sent: sent, Lost: lost, RoundTrips: times,
		SentRate: quotient(float64(sent), elapsed.Seconds()),
		CPU:      100 * quotient(cpu.Seconds(), elapsed.Seconds()),
		CPUEach:  time.Duration(quotient(float64(cpu), float64(sent))),
		SentPer:  quotient(float64(stats.Sent), float64(stats.SendCalls)),
		CamePer:  quotient(float64(stats.Received), float64(stats.ReceiveCalls)),
		sentNow:  m.sent.rate(sent), cameNow: m.came.rate(arrived),
	}
	r.arrive(arrived)
	return r
}

func (r *benchResult) arrive(n uint64) {
	r.Arrived = n
	r.Rate = quotient(float64(n), r.Elapsed.Seconds())
	r.BitRate = 8 * r.Rate * float64(r.Size)
}

func (r benchResult) String() string {
	s := fmt.Sprintf("%.1f s: %s of %d bytes to %s\narrived: %d, %s, %s, %d lost (%s)", r.Elapsed.Seconds(), plural(r.Sent, "datagram"), r.Size, r.Peer,
		r.Arrived, perSecond(r.Rate), bitRate(r.BitRate/8), r.Lost, percent(r.Lost, r.Sent))
	if r.RoundTrips != nil && r.Arrived > 0 {
		s += "\nround trips: " + r.RoundTrips.String()
	}
	return s + fmt.Sprintf("\nCPU: %.0f %% of a processor, %s for each datagram\nsystem calls: %.1f datagrams sent and %.1f received in each",
		r.CPU, brief(r.CPUEach), r.SentPer, r.CamePer)
}

func (r benchResult) line() string {
	s := fmt.Sprintf("%.1f s: sent %s", r.Elapsed.Seconds(), perSecond(r.sentNow))
	if t := r.RoundTrips; t != nil {
		s += fmt.Sprintf(", arrived %s, %s, lost %d", perSecond(r.cameNow), bitRate(r.cameNow*float64(r.Size)), r.Lost)
		if t.Max > 0 { // something was answered
			s += fmt.Sprintf(", median %s, p99 %s", brief(t.Median), brief(t.P99))
		}
	}
	return s
}

func (r benchResult) lines() []string {
	lines := []string{
		fmt.Sprintf("bench %s with %d bytes, %.1f s", r.Peer, r.Size, r.Elapsed.Seconds()),
		"",
		fmt.Sprintf("  sent     %12d  %10s  %s", r.Sent, perSecond(r.sentNow), bitRate(r.sentNow*float64(r.Size))),
	}
	if t := r.RoundTrips; t != nil {
		lines = append(lines,
			fmt.Sprintf("  arrived  %12d  %10s  %s", r.Arrived, perSecond(r.cameNow), bitRate(r.cameNow*float64(r.Size))),
			fmt.Sprintf("  lost     %12d  %10s", r.Lost, percent(r.Lost, r.Sent)),
			"",
			"  round trips  "+t.columns())
	}
	return append(lines, fmt.Sprintf("  CPU          %.0f %%, %s for each datagram", r.CPU, brief(r.CPUEach)))
}
