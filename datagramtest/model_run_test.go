package datagramtest_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

var modelSeeds = flag.Int("model.seeds", 200, "how many random programs TestModel runs")

// A program is a list of rounds. The calls of a round are concurrent.
type program [][]call

func (p program) String() string {
	var b strings.Builder
	for _, round := range p {
		for i, c := range round {
			if i > 0 {
				b.WriteString(" | ")
			}
			b.WriteString(c.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestModel makes random calls from several goroutines, and compares their results and effects with a model
// of the handle. Some order of the calls of each round must explain them. A failing program is shrunk before
// it is printed.
func TestModel(t *testing.T) {
	for seed := range uint64(*modelSeeds) {
		p := randomProgram(seed)
		err := p.run(t)
		if err == nil {
			continue
		}
		p = shrink(p, func(p program) bool {
			for range 20 { // concurrent calls have no fixed order
				if p.run(t) != nil {
					return true
				}
			}
			return false
		})
		t.Fatalf("seed %d: %v\nthe shortest program that fails:\n%v", seed, err, p)
	}
}

func randomProgram(seed uint64) program {
	random := rand.New(rand.NewPCG(seed, 0))
	total := 0
	for _, w := range callWeights {
		total += w.weight
	}
	choose := func() call {
		n := random.IntN(total)
		for _, w := range callWeights {
			if n -= w.weight; n < 0 {
				return call{w.name, 1 + random.IntN(2)}
			}
		}
		panic("unreachable")
	}
	var p program
	for range 40 {
		var round []call
		for range 1 + random.IntN(3) {
			round = append(round, choose())
		}
		// What is read depends on what has arrived, which is known only when nothing else runs.
		if i := slices.IndexFunc(round, func(c call) bool { return c.name == "read" }); i >= 0 {
			round = round[i : i+1]
		}
		p = append(p, round)
	}
	return p
}

// run runs the program and returns an error if the model does not explain it.
func (p program) run(t *testing.T) (err error) {
	synctest.Test(t, func(t *testing.T) {
		n := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer n.Close()
		var r *modelRun
		if r, err = newModelRun(t.Context(), n); err != nil {
			return
		}
		defer r.close()
		for i, round := range p {
			if err = r.round(round); err != nil {
				err = fmt.Errorf("round %d, %v: %w", i, round, err)
				return
			}
		}
		err = r.end()
	})
	return err
}

// A modelRun is a running program.
type modelRun struct {
	ctx    context.Context
	conn   *datagram.Conn
	peers  [3]*datagram.Conn // from index 1
	models []model           // possible states

	mu        sync.Mutex
	accepted  int
	completed int
}

func newModelRun(ctx context.Context, n *datagramtest.Network) (*modelRun, error) {
	r := &modelRun{ctx: ctx, models: []model{{}}}
	var err error
	for i := 1; i <= 2; i++ {
		if r.peers[i], err = n.Listen(ctx, "udp", fmt.Sprintf("10.0.0.%d:%d", i, i), datagram.WithRecvQueue(1000, datagram.Block)); err != nil {
			return nil, err
		}
		r.peers[i].Recv()
	}
	r.conn, err = datagram.New(n.Option(), datagram.WithRecvQueue(1000, datagram.Block))
	return r, err
}

func (r *modelRun) close() {
	for _, c := range []*datagram.Conn{r.conn, r.peers[1], r.peers[2]} {
		c.Close()
		<-c.Done()
	}
}

// round makes concurrent calls.
func (r *modelRun) round(calls []call) error {
	if calls[0].name == "read" {
		return r.read()
	}
	results := make([]string, len(calls))
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() { results[i] = r.call(c) })
	}
	wg.Wait()
	synctest.Wait() // until everything they started is done
	return r.explain(calls, results)
}

// explain keeps the models in which some order of the calls explains the results.
func (r *modelRun) explain(calls []call, results []string) error {
	after := make(map[string]model)
	var expected []string
	var try func(m model, left []int)
	try = func(m model, left []int) {
		if len(left) == 0 {
			m = m.settled()
			after[m.key()] = m
			return
		}
		for i, n := range left {
			next, result := m.step(calls[n])
			// Close may end a Disconnect that has begun to have an effect.
			ended := calls[n].name == "disconnect" && result == "ok" && results[n] == "closed" && slices.ContainsFunc(calls, isClose)
			if result != results[n] && !ended {
				expected = append(expected, fmt.Sprintf("%v: %s", calls[n], result))
				continue
			}
			for _, m := range next {
				try(m, slices.Delete(slices.Clone(left), i, i+1))
			}
		}
	}
	everything := make([]int, len(calls))
	for i := range everything {
		everything[i] = i
	}
	for _, m := range r.models {
		try(m, everything)
	}
	if len(after) == 0 {
		return fmt.Errorf("got %v, which no order explains, but for example %v; it was one of %+v", results, expected, r.models)
	}
	r.models = r.models[:0]
	for _, m := range after {
		r.models = append(r.models, m)
	}
	return nil
}

func isClose(c call) bool { return c.name == "close" }

// read reads everything that can be read.
func (r *modelRun) read() error {
	ch := r.conn.Recv()
	synctest.Wait()
	var got []int
	for more := true; more; {
		select {
		case d, ok := <-ch:
			if ok {
				got = append(got, int(d.Payload[0]))
			}
			more = ok
		default:
			more = false
		}
	}
	var kept []model
	var expected [][]int
	for _, m := range r.models {
		next, want := m.read()
		if slices.Equal(got, want) {
			kept = append(kept, next)
		}
		expected = append(expected, want)
	}
	if kept == nil {
		return fmt.Errorf("read from %v, want one of %v", got, expected)
	}
	r.models = kept
	return nil
}

// call makes a call and returns its result in the model's terms.
func (r *modelRun) call(c call) string {
	group := netip.MustParseAddr("239.1.2.3")
	to := r.peers[c.number].LocalAddr()
	switch c.name {
	case "bind":
		return outcome(r.conn.Bind(r.ctx, "udp4", "10.0.0.9:9"))
	case "connect":
		return outcome(r.conn.Connect(to))
	case "disconnect":
		return outcome(r.conn.Disconnect())
	case "trySend":
		return r.trySend(datagram.To(to, []byte("x")))
	case "trySendToPeer":
		return r.trySend(datagram.Datagram{Payload: []byte("x")})
	case "send":
		return r.send(datagram.To(to, []byte("x")))
	case "sendToPeer":
		return r.send(datagram.Datagram{Payload: []byte("x")})
	case "peerSends":
		return r.peerSends(c.number)
	case "recv":
		r.conn.Recv()
	case "stopRecv":
		return outcome(r.conn.StopRecv())
	case "setTTL":
		return outcome(r.conn.SetTTL(c.number))
	case "getTTL":
		ttl, err := r.conn.TTL()
		if err != nil {
			return outcome(err)
		}
		return fmt.Sprint(ttl)
	case "join":
		return outcome(r.conn.JoinGroup(group, nil))
	case "leave":
		return outcome(r.conn.LeaveGroup(group, nil))
	case "remote":
		return fmt.Sprint(r.conn.RemoteAddr().Port()) // a peer's port is its number
	case "flush":
		return outcome(r.conn.Flush(r.ctx))
	case "close":
		return outcome(r.conn.Close())
	}
	return "ok"
}

// trySend sends directly, or queues if something is queued.
func (r *modelRun) trySend(d datagram.Datagram) string {
	_, err := r.conn.TrySend(d)
	if err == datagram.ErrWouldBlock {
		return r.send(d)
	}
	return outcome(err)
}

func (r *modelRun) send(d datagram.Datagram) string {
	err := r.conn.SendFunc(r.ctx, d, func(error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.completed++
	})
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.accepted++
	}
	return outcome(err)
}

// peerSends sends to the address that the handle is bound to.
func (r *modelRun) peerSends(peer int) string {
	local := r.conn.LocalAddr()
	if !local.IsValid() {
		return "ok"
	}
	host := local.Addr()
	if local.Port() != 9 { // bound implicitly, on the default host
		host = netip.MustParseAddr("192.0.2.1")
	}
	_, err := r.peers[peer].TrySend(datagram.To(netip.AddrPortFrom(host, local.Port()), []byte{byte(peer)}))
	return outcome(err)
}

// end checks the sums over the whole program.
func (r *modelRun) end() error {
	r.conn.Close()
	<-r.conn.Done()
	synctest.Wait()
	if r.accepted != r.completed {
		return fmt.Errorf("%d accepted, %d completed", r.accepted, r.completed)
	}
	s := r.conn.Stats()
	if s.Accepted != s.Sent+s.SendErrors || s.Received != s.Delivered+s.PolicyDrops+s.CloseDrops+s.Held {
		return fmt.Errorf("ledger: %v", s)
	}
	var got [3]int
	for i := 1; i <= 2; i++ {
		got[i] = int(r.peers[i].Stats().Received)
	}
	// Close fails what is queued: with Close in the same round, some may not have been sent.
	lost := int(s.SendErrors)
	for _, m := range r.models {
		if got[1] <= m.sent[1] && got[2] <= m.sent[2] && got[1]+got[2]+lost == m.sent[1]+m.sent[2] {
			return nil
		}
	}
	return fmt.Errorf("the peers have received %v, and %d were lost; it was one of %+v", got, lost, r.models)
}
