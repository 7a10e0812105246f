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

// meter runs one contender once in one workload.
type meter struct {
	duration time.Duration
	load     func(child.Args) []string // the command of the neutral load
}

// warm is how long traffic runs before it counts.
func (m *meter) warm() { time.Sleep(min(m.duration/5, 300*time.Millisecond)) }

// between takes a mark of each process, lets them run, and takes another. The first is the one that
// receives; it is marked last at the beginning and first at the end, so that its figures lie within
// the others'. A machine so busy that nothing arrives gets more time.
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
	p, err := start(ctx, c.argv(a))
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
	return d.addAllocs(f, report.Allocs, d.received), nil
}

// split measures sender and receiver in a process each. With many clients the neutral load sends.
func (m *meter) split(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	a.Role = "recv"
	recv, err := start(ctx, c.argv(a))
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
	send, err := start(ctx, argv(a))
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
	time.Sleep(50 * time.Millisecond) // what is queued at the receiver is not lost
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
	if a.Clients == 0 && s.sent > 0 {
		f[report.CPUSend] = s.cpu / s.sent
		s.addAllocs(f, report.AllocsSend, s.sent)
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
	server, err := start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer server.kill()
	a.Dest, a.Role = server.ready.Addr, role
	client, err := start(ctx, argv(a))
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
		report.Rate: replies.rate(),
		report.CPU:  served.cpu / n,
		report.P50:  float64(last.Hist.Quantile(0.5)),
		report.P99:  float64(last.Hist.Quantile(0.99)),
		report.P999: float64(last.Hist.Quantile(0.999)),
		report.Loss: replies.resent / replies.received,
	}
	return served.addAllocs(f, report.Allocs, n), nil
}

// idle measures what sockets cost that wait.
func (m *meter) idle(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	p, err := start(ctx, c.argv(a))
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

// delta is what happened between two marks.
type delta struct {
	ns, cpu, sent, received, resent, allocs float64
	managed                                 bool // allocs mean something
}

func since(a, b mark.Mark) delta {
	return delta{
		ns: float64(b.NS - a.NS), cpu: float64(b.CPU - a.CPU),
		sent: float64(b.Sent - a.Sent), received: float64(b.Received - a.Received),
		resent: float64(b.Resent - a.Resent), allocs: float64(b.Allocs - a.Allocs),
		managed: b.Allocs > 0,
	}
}

func (d delta) rate() float64 { return d.received / d.ns * float64(time.Second) }

// addAllocs adds the allocations for each of n datagrams; programs in C have none to count.
func (d delta) addAllocs(f report.Figures, metric string, n float64) report.Figures {
	if d.managed {
		f[metric] = d.allocs / n
	}
	return f
}

// verify checks that every datagram had its length and, if none was lost, that each arrived once.
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
