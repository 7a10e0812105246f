package sendqueue

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSocket is a socket whose Send is a function of the test.
type fakeSocket struct {
	segments bool
	send     func(ds []socket.Outgoing, wait bool) (int, error)
	counters socket.Counters
}

func (f *fakeSocket) Send(ds []socket.Outgoing, wait bool) (int, error) { return f.send(ds, wait) }
func (f *fakeSocket) Counters() *socket.Counters                        { return &f.counters }
func (f *fakeSocket) Segments() bool                                    { return f.segments }
func (f *fakeSocket) Info() socket.Info                                 { return socket.Info{UDP: true} }

// newQueue returns a queue and its socket. Nothing of the queue may run at the end of the test.
func newQueue(t *testing.T, config Config) (*Queue, *fakeSocket) {
	t.Helper()
	var running sync.WaitGroup
	config.Count = max(config.Count, 1)
	if config.Bytes == 0 {
		config.Bytes = 1 << 20 // no limit for what is not about it
	}
	config.Enter, config.Leave = func() { running.Add(1) }, running.Done
	config.Describe = func(_ netip.AddrPort, _ *socket.Name, err error) error { return err }
	q, f := new(Queue), new(fakeSocket)
	q.Init(config)
	q.Attach(f)
	t.Cleanup(func() {
		q.Close()
		running.Wait()
	})
	return q, f
}

// enqueue queues a datagram and returns a channel for its answer.
func enqueue(t *testing.T, q *Queue) <-chan error {
	t.Helper()
	answer := make(chan error, 1)
	err := q.Enqueue(context.Background(), &socket.Outgoing{Payload: []byte("x")}, nil, nil, func(err error) { answer <- err })
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
