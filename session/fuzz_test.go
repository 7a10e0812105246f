package session_test

import (
	"fmt"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// FuzzSessions lets three peers, a program and the clock do things in any order, and checks the outcome of each
// against a model: who has a session, what it holds, and the counts.
func FuzzSessions(f *testing.F) {
	f.Add([]byte("aaaabbbbccccAxxxABCxyzabcXYZ"))
	f.Add([]byte("abcAaaaaaaaxt1abctA"))
	f.Add([]byte("aAttttaAXaAxbt"))
	f.Add([]byte("abAcAxyAztttabcAAA"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		steps = steps[:min(len(steps), 200)]
		config := session.Config{IdleTimeout: time.Minute, Backlog: 2, MaxSessions: 2, Queue: 3}
		simulate(t, datagramtest.Link{}, config, func(w *world) {
			m := model{world: w, config: config}
			for i := range m.peers {
				m.peers[i].client = w.client(i)
			}
			for i, step := range steps {
				switch {
				case 'a' <= step && step <= 'c':
					m.send(int(step-'a'), fmt.Sprint(i))
				case step == 'A':
					m.accept()
				case 'x' <= step && step <= 'z':
					m.read(int(step - 'x'))
				case 'X' <= step && step <= 'Z':
					m.close(int(step - 'X'))
				default:
					m.sleep(time.Duration(step) * time.Second / 4)
				}
				m.check()
			}
		})
	})
}

// A model is what a listener with three peers must be like.
type model struct {
	*world
	config  session.Config
	peers   [3]modelPeer
	backlog []*modelPeer
	want    session.Stats // without Sessions and Held, which are levels
}

type modelPeer struct {
	client *datagram.Conn
	conn   *session.Conn // once accepted
	open   bool
	last   time.Time
	queue  []string
}

func (m *model) send(i int, text string) {
	p := &m.peers[i]
	m.world.send(p.client, text)
	switch {
	case p.open:
	case m.sessions() == m.config.MaxSessions:
		m.want.RefusedMax++
		return
	case len(m.backlog) == m.config.Backlog:
		m.want.RefusedBacklog++
		return
	default:
		*p = modelPeer{client: p.client, open: true}
		m.backlog = append(m.backlog, p)
		m.want.Opened++
	}
	p.last = time.Now()
	m.want.Received++
	if len(p.queue) == m.config.Queue {
		m.want.Dropped++
		return
	}
	p.queue = append(p.queue, text)
}

func (m *model) accept() {
	if len(m.backlog) == 0 {
		ended := conntest.EndedContext(m)
		conntest.ExpectError(m, "AcceptContext", conntest.Err(m.AcceptContext(ended)), ended.Err())
		return
	}
	p := m.backlog[0]
	m.backlog = m.backlog[1:]
	p.conn = accept(m, m.Listener)
	if p.conn.Peer() != p.client.LocalAddr() {
		m.Fatalf("accepted the session of %v, want that of %v", p.conn.Peer(), p.client.LocalAddr())
	}
}

func (m *model) read(i int) {
	p := &m.peers[i]
	if !p.open || p.conn == nil || len(p.queue) == 0 {
		return
	}
	conntest.ExpectRead(m, deadlineless{p.conn}, p.queue[0])
	p.queue = p.queue[1:]
	m.want.Delivered++
}

func (m *model) close(i int) {
	p := &m.peers[i]
	if !p.open || p.conn == nil {
		return
	}
	conntest.ExpectError(m, "Close", p.conn.Close(), nil)
	m.want.Closed++
	m.end(p)
}

func (m *model) end(p *modelPeer) {
	p.open = false
	m.want.Discarded += uint64(len(p.queue))
	p.queue = nil
	for i, waits := range m.backlog {
		if waits == p {
			m.backlog = append(m.backlog[:i:i], m.backlog[i+1:]...)
			break
		}
	}
}

// sleep lets time pass. What is idle for long enough must have ended, and what is not must go on; in between the
// listener may choose.
func (m *model) sleep(d time.Duration) {
	for time.Sleep(d); ; time.Sleep(m.config.IdleTimeout) {
		undecided := false
		for i := range m.peers {
			p := &m.peers[i]
			switch idle := time.Since(p.last); {
			case !p.open || idle < m.config.IdleTimeout:
			case idle < 2*m.config.IdleTimeout:
				undecided = true
			default:
				m.want.Idled++
				m.end(p)
			}
		}
		if !undecided {
			return
		}
	}
}

func (m *model) sessions() (n int) {
	for i := range m.peers {
		if m.peers[i].open {
			n++
		}
	}
	return n
}

func (m *model) check() {
	m.Helper()
	want := m.want
	want.Sessions = uint64(m.sessions())
	for i := range m.peers {
		p := &m.peers[i]
		want.Held += uint64(len(p.queue))
		if p.open && p.conn != nil && p.conn.Err() != nil {
			m.Errorf("the session of %v has ended: %v", p.conn.Peer(), p.conn.Err())
		}
	}
	if got := m.Listener.Stats(); got != want {
		m.Fatalf("%+v, want\n%+v", got, want)
	}
}
