package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

func newPing(out *output) *cobra.Command {
	p := ping{out: out}
	cmd := &cobra.Command{
		Use:   "ping HOST:PORT",
		Short: "Measure round trips to an echo",
		Long:  "Measure round trips to an echo: this program's, or any that sends datagrams back as they are.",
		Example: `  datagram ping 192.0.2.1:7
  datagram ping --count 1000 --interval 10ms -o json server.example:7 | jq .summary`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) },
	}
	networkFlag(cmd, &p.network)
	cmd.Flags().IntVarP(&p.count, "count", "c", 0, "stop after this many `requests`; 0 means at a signal")
	cmd.Flags().DurationVarP(&p.interval, "interval", "i", 200*time.Millisecond, "`time` between requests")
	cmd.Flags().DurationVarP(&p.timeout, "timeout", "t", time.Second, "how long to wait for an answer")
	cmd.Flags().IntVarP(&p.size, "size", "s", 64, "size of a request in `bytes`")
	return cmd
}

// ping holds the flags of the command, and its state.
type ping struct {
	out               *output
	network           string
	count, size       int
	interval, timeout time.Duration

	conn     *datagram.Conn
	flow     uint64
	tracker  *tracker
	answered chan struct{} // has an element after an answer
	recent   recent
}

func (p *ping) check() error {
	return errors.Join(
		atLeast("count", p.count, 0),
		inRange("interval", p.interval, time.Millisecond, time.Hour),
		inRange("timeout", p.timeout, time.Millisecond, time.Minute),
		inRange("size", p.size, probeSize, maxPayload),
	)
}

func (p *ping) run(ctx context.Context, address string) error {
	if err := p.check(); err != nil {
		return err
	}
	conn, err := dial(ctx, p.network, address, datagram.WithErrorHandler(p.out.warn))
	if err != nil {
		return err
	}
	defer conn.Close()
	p.conn, p.flow, p.answered = conn, rand.Uint64(), make(chan struct{}, 1)
	p.tracker = newTracker(max(1024, int(p.timeout/p.interval)+2), p.timeout)

	stop := func() {}
	if p.out.live() {
		stop = p.out.watch(func() view { return p.progress() })
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	group.Go(func() error { return conn.Serve(ctx, p.receive) })
	group.Go(func() error {
		defer cancel() // ends Serve
		return p.send(ctx)
	})
	err = group.Wait()
	stop()
	result := p.progress()
	p.out.say("summary", result.pingResult)
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		return err
	case p.count > 0 && result.Sent < uint64(p.count):
		return context.Cause(ctx)
	case result.Answered == 0:
		return shortfall("no answer from " + result.Peer)
	}
	return nil
}

// receive handles an answer. Serve has the lowest latency of the ways to receive.
func (p *ping) receive(d datagram.Datagram) {
	defer d.Release()
	now := time.Now()
	request, ok := parseProbe(d.Payload)
	if !ok || request.flow != p.flow {
		return
	}
	_, took, first := p.tracker.answer(request.number, now)
	if !first {
		return
	}
	p.recent.add(took)
	if !p.out.live() {
		p.out.say("answer", pingAnswer{request.number, p.conn.RemoteAddr().String(), took})
	}
	select {
	case p.answered <- struct{}{}:
	default:
	}
}

// send sends requests and returns when each has been answered or lost.
func (p *ping) send(ctx context.Context) error {
	interval, sweep := time.NewTicker(p.interval), time.NewTicker(max(p.timeout/10, time.Millisecond))
	defer interval.Stop()
	defer sweep.Stop()
	p.request(0)
	for sent := 1; ; {
		if c, _ := p.tracker.snapshot(); sent == p.count && c.Waiting == 0 {
			return nil
		}
		select {
		case <-interval.C:
			if sent < p.count || p.count == 0 {
				p.request(sent)
				sent++
			}
		case <-p.answered:
		case now := <-sweep.C:
			p.expire(now)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// request sends a request.
func (p *ping) request(number int) {
	payload := make([]byte, p.size)
	probe{probeEcho, p.flow, p.tracker.send(number%len(p.tracker.slots), time.Now())}.put(payload)
	// TrySend has the lowest latency of the ways to send.
	if _, err := p.conn.TrySend(datagram.Datagram{Payload: payload}); err != nil {
		p.out.warn(err) // and the request is lost
	}
}

func (p *ping) expire(now time.Time) {
	_, numbers := p.tracker.expire(now)
	for _, number := range numbers {
		p.recent.add(0)
		if !p.out.live() {
			p.out.say("lost", pingLoss{number})
		}
	}
}

// pingAnswer describes one round trip.
type pingAnswer struct {
	Number    uint64        `json:"number"`
	From      string        `json:"from"`
	RoundTrip time.Duration `json:"round_trip_ns"`
}

func (a pingAnswer) String() string {
	return fmt.Sprintf("answer %d from %s after %s", a.Number, a.From, brief(a.RoundTrip))
}

// pingLoss tells which request got no answer.
type pingLoss struct {
	Number uint64 `json:"number"`
}

func (l pingLoss) String() string { return fmt.Sprintf("no answer to %d", l.Number) }

// pingResult is the result so far.
type pingResult struct {
	Peer string `json:"peer"`
	Size int    `json:"size"`
	counts
	RoundTrips roundTrips `json:"round_trips"`
}

func (p pingResult) String() string {
	s := fmt.Sprintf("%s of %d bytes to %s: %d answered, %d lost (%s)",
		plural(p.Sent, "request"), p.Size, p.Peer, p.Answered, p.Lost, percent(p.Lost, p.Sent))
	if p.Waiting > 0 { // ended by a signal
		s += fmt.Sprintf(", %d not yet answered", p.Waiting)
	}
	s += fmt.Sprintf("\nanswers: %d late, %d reordered, %d duplicated", p.Late, p.Reordered, p.Duplicates)
	if p.Answered > 0 {
		s += "\nround trips: " + p.RoundTrips.String()
	}
	return s
}

// pingView is what a terminal shows of it.
type pingView struct {
	pingResult
	recent string
}

func (p *ping) progress() pingView {
	c, times := p.tracker.snapshot()
	return pingView{pingResult{p.conn.RemoteAddr().String(), p.size, c, times}, p.recent.String()}
}

func (v pingView) line() string { return v.String() }

func (v pingView) lines() []string {
	return []string{
		fmt.Sprintf("ping %s with %d bytes", v.Peer, v.Size),
		"",
		fmt.Sprintf("  requests     sent %-9d answered %-9d lost %d (%s)", v.Sent, v.Answered, v.Lost, percent(v.Lost, v.Sent)),
		fmt.Sprintf("  answers      late %-9d reordered %-8d duplicated %d", v.Late, v.Reordered, v.Duplicates),
		"  round trips  " + v.RoundTrips.columns(),
		"  latest       " + v.recent,
	}
}

// recent holds the latest round trips, with 0 for one that was lost.
type recent struct {
	mu    sync.Mutex
	times []time.Duration
}

// maxRecent is how many are drawn.
const maxRecent = 60

func (r *recent) add(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, d)
	if len(r.times) > maxRecent {
		r.times = append(r.times[:0], r.times[1:]...)
	}
}

// String draws the round trips as bars, relative to the longest. A lost one is a cross.
func (r *recent) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	bars := []rune("▁▂▃▄▅▆▇█")
	longest := time.Duration(1)
	for _, d := range r.times {
		longest = max(longest, d)
	}
	var b strings.Builder
	for _, d := range r.times {
		if d == 0 {
			b.WriteRune('×')
		} else {
			b.WriteRune(bars[int(d)*(len(bars)-1)/int(longest)])
		}
	}
	return b.String()
}
