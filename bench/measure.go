package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/load"
	"example.com/datagram/bench/internal/mark"
	"example.com/datagram/bench/internal/report"
)

// meter runs a contender once in a workload.
type meter struct {
	duration time.Duration
	load     func(child.Args) []string // command of the neutral load
	count    bool                      // count system calls, which slows all of them down
}

// start starts a process of the contender.
func (m *meter) start(ctx context.Context, argv []string) (*process, error) {
	return start(ctx, argv, m.count)
}

// warm lets traffic run before it counts.
func (m *meter) warm() { time.Sleep(min(m.duration/5, 300*time.Millisecond)) }

// between takes a mark of each process, lets them run, and takes another. The first process is the
// receiver. It is marked last at the beginning and first at the end, so that its interval lies
// within the others'. If the machine is so busy that nothing arrives, it gets more time.
func (m *meter) between(ps ...*process) (begin, end []mark.Mark, err error) {
	m.warm()
	begin, end = make([]mark.Mark, len(ps)), make([]mark.Mark, len(ps))
	for i := len(ps) - 1; i >= 0 && err == nil; i-- {
		begin[i], err = ps[i].mark()
	}
	for waited := time.Duration(0); err == nil && waited < answer; waited += m.duration {
		time.Sleep(m.duration)
		if end[0], err = ps[0].mark(); end[0].Received > begin[0].Received {
			break
		}
	}
	for i := 1; i < len(ps) && err == nil; i++ {
		end[i], err = ps[i].mark()
	}
	if err == nil && end[0].Received == begin[0].Received {
		err = errors.New("nothing arrived")
	}
	return begin, end, err
}

// flow measures sender and receivers in one process.
func (m *meter) flow(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	p, err := m.start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer p.kill()
	begin, end, err := m.between(p)
	if err != nil {
		return nil, err
	}
	last, err := p.stop()
	if err != nil {
		return nil, err
	}
	if err := verify(last, last); err != nil {
		return nil, err
	}
	d := since(begin[0], end[0])
	f := report.Figures{
		report.Rate:  d.rate(),
		report.CPU:   d.cpu / d.received,
		report.Loss:  loss(last, last),
		report.RSS:   float64(end[0].RSS),
		report.Total: float64(last.Received),
	}
	m.addKernel(f, d.received, d)
	if a.Collect > 0 {
		f[report.GCStop] = float64(last.GCStop)
	}
	return d.addAllocs(f, report.Allocs, d.received), nil
}

// split measures sender and receiver in separate processes. With many clients the neutral load
// sends.
func (m *meter) split(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	a.Role = "recv"
	recv, err := m.start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer recv.kill()
	a.Dest = recv.ready.Addr
	argv := m.load
	if a.Clients > 0 {
		a.Role = load.Senders
	} else {
		a.Role, argv = "send", c.argv
	}
	send, err := m.start(ctx, argv(a))
	if err != nil {
		return nil, err
	}
	defer send.kill()
	begin, end, err := m.between(recv, send)
	if err != nil {
		return nil, err
	}
	sent, err := send.stop()
	if err != nil {
		return nil, err
	}
	time.Sleep(50 * time.Millisecond) // lets the receiver receive what is queued
	got, err := recv.stop()
	if err != nil {
		return nil, err
	}
	if err := verify(sent, got); err != nil && a.Clients == 0 {
		return nil, err
	}
	r, s := since(begin[0], end[0]), since(begin[1], end[1])
	f := report.Figures{
		report.Rate:    r.rate(),
		report.CPURecv: r.cpu / r.received,
		report.Loss:    loss(sent, got),
	}
	if a.Clients > 0 {
		f[report.LoadBusy] = s.cpu / s.ns
		m.addKernel(f, r.received, r)
	} else if s.sent > 0 {
		f[report.CPUSend] = s.cpu / s.sent
		s.addAllocs(f, report.AllocsSend, s.sent)
		m.addKernel(f, r.received, r, s)
	}
	return r.addAllocs(f, report.AllocsRecv, r.received), nil
}

// echo measures a server with the neutral clients.
func (m *meter) echo(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	return m.answer(ctx, c, a, load.Clients, m.load)
}

// ping measures round trips between two processes of the same contender.
func (m *meter) ping(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	return m.answer(ctx, c, a, "ping", c.argv)
}

func (m *meter) answer(ctx context.Context, c contender, a child.Args, role string, argv func(child.Args) []string) (report.Figures, error) {
	a.Role = "echo"
	server, err := m.start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer server.kill()
	a.Dest, a.Role = server.ready.Addr, role
	client, err := m.start(ctx, argv(a))
	if err != nil {
		return nil, err
	}
	defer client.kill()
	begin, end, err := m.between(client, server)
	if err != nil {
		return nil, err
	}
	last, err := client.stop()
	if err != nil {
		return nil, err
	}
	if _, err := server.stop(); err != nil {
		return nil, err
	}
	if last.Bad > 0 {
		return nil, fmt.Errorf("%d replies of a wrong length", last.Bad)
	}
	replies, served := since(begin[0], end[0]), since(begin[1], end[1])
	n := replies.received * served.ns / replies.ns // the server's marks lie a little further apart
	f := report.Figures{
		report.Rate:     replies.rate(),
		report.CPU:      served.cpu / n,
		report.P50:      float64(last.Hist.Quantile(0.5)),
		report.P99:      float64(last.Hist.Quantile(0.99)),
		report.P999:     float64(last.Hist.Quantile(0.999)),
		report.Loss:     replies.resent / replies.received,
		report.LoadBusy: replies.cpu / replies.ns,
	}
	m.addKernel(f, n, served)
	return served.addAllocs(f, report.Allocs, n), nil
}

// pace returns a share of what a contender can answer, in requests per second.
func (m *meter) pace(ctx context.Context, c contender, a child.Args, share float64) (int, error) {
	f, err := m.echo(ctx, c, a)
	return max(1, int(share*f[report.Rate])), err
}

// idle measures the cost of idle sockets.
func (m *meter) idle(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	p, err := m.start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer p.kill()
	if _, err := p.stop(); err != nil {
		return nil, err
	}
	return report.Figures{
		report.Conn: float64(p.ready.RSS) / float64(a.Count),
		report.Slab: float64(p.ready.Slab) / float64(a.Count),
	}, nil
}

// delta is the difference of two marks.
type delta struct {
	ns, cpu, sent, received, resent, allocs, switches, calls float64
	managed                                                  bool // allocs is meaningful
}

func since(a, b mark.Mark) delta {
	return delta{
		ns: float64(b.NS - a.NS), cpu: float64(b.CPU - a.CPU),
		sent: float64(b.Sent - a.Sent), received: float64(b.Received - a.Received),
		resent: float64(b.Resent - a.Resent), allocs: float64(b.Allocs - a.Allocs),
		switches: float64(b.Switches - a.Switches), calls: float64(b.Calls - a.Calls),
		managed: b.Allocs > 0,
	}
}

func (d delta) rate() float64 { return d.received / d.ns * float64(time.Second) }

// addAllocs adds the allocations for each of n datagrams. C programs have none to count.
func (d delta) addAllocs(f report.Figures, metric string, n float64) report.Figures {
	if d.managed {
		f[metric] = d.allocs / n
	}
	return f
}

// addKernel adds the context switches and system calls of the contender's processes for each
// thousand of n datagrams.
func (m *meter) addKernel(f report.Figures, n float64, ds ...delta) {
	var switches, calls float64
	for _, d := range ds {
		switches += d.switches
		calls += d.calls
	}
	f[report.Switches] = 1000 * switches / n
	// A process that answers makes system calls. Once in some thousand runs the kernel (6.18) was
	// seen to count none; then there is no figure.
	if m.count && calls > 0 {
		f[report.Calls] = 1000 * calls / n
	}
}

// verify checks that every datagram had the right length and, if none was lost, that each arrived
// exactly once.
func verify(sent, got mark.Mark) error {
	switch {
	case got.Bad > 0:
		return fmt.Errorf("%d of %d datagrams had a wrong length", got.Bad, got.Received)
	case got.Received > sent.Sent:
		return fmt.Errorf("%d sent, but %d received", sent.Sent, got.Received)
	case got.Received == sent.Sent && got.RecvSum != sent.SentSum:
		return errors.New("the datagrams received are not those that were sent")
	}
	return nil
}

func loss(sent, got mark.Mark) float64 {
	return float64(sent.Sent-min(sent.Sent, got.Received)) / float64(max(sent.Sent, 1))
}
