package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// A stressed handle is used by many goroutines in every way there is, until it is closed.
type stressed struct {
	*datagram.Conn
	t    *testing.T
	peer netip.AddrPort

	// accepted counts what SendFunc and SendBuffers returned nil for, completed their
	// completion functions; finished says that there must be no more of those.
	accepted, completed atomic.Int64
	completing          atomic.Int32
	finished            atomic.Bool
	// queued counts what the other methods have queued or handed over.
	queued atomic.Int64
	// delivered counts what readers and handlers got.
	delivered atomic.Int64

	closing sync.Once
	close   func() // how this one is closed, by whoever finds that it is time
}

// perRound is how many datagrams are to be delivered, and how many completed, before a
// handle is closed. On a slow machine it is closed after longestRound.
const (
	perRound     = 300
	longestRound = 300 * time.Millisecond
)

func TestStress(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		for _, policy := range []datagram.Overflow{datagram.Block, datagram.DropNewest, datagram.DropOldest} {
			t.Run(fmt.Sprintf("round %d, policy %d", round, policy), func(t *testing.T) {
				var failed atomic.Int64
				c := conntest.Loopback(t,
					datagram.WithRecvQueue(1+round%4, policy),
					datagram.WithSendQueue(1+round*3, 1000),
					datagram.WithErrorHandler(func(error) { failed.Add(1) }),
				)
				peer := conntest.Loopback(t, datagram.WithErrorHandler(func(error) {}))
				s := &stressed{Conn: c, t: t, peer: peer.LocalAddr()}
				switch round % 3 {
				case 0:
					s.close = func() { c.Close() }
				case 1:
					s.close = func() { c.Shutdown(background) }
				case 2:
					s.close = func() {
						ctx, cancel := context.WithTimeout(background, time.Millisecond)
						defer cancel()
						c.Shutdown(ctx)
					}
				}
				s.run(peer)
			})
		}
	}
}

// run uses the handle until it is closed, and checks what is left.
func (s *stressed) run(peer *datagram.Conn) {
	t, start := s.t, time.Now()
	var users sync.WaitGroup
	echo := conntest.Serve(background, peer, func(d datagram.Datagram) {
		_, _ = peer.TrySend(d.Reply(d.Payload))
		d.Release()
	})
	for _, operation := range []func(*rand.Rand) error{
		s.sendFunc, s.sendFunc, s.sendBuffers, s.send, s.tryQueue, s.trySend, s.trySendBatch, s.flush,
		s.read, s.selectOnce, s.serve, s.stop, s.connect, s.set, s.ask, s.snapshots,
	} {
		users.Go(func() {
			random := rand.New(rand.NewPCG(1, 2))
			for {
				err := operation(random)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil && !isExpected(err) {
					t.Errorf("%v", err)
				}
				if err != nil {
					time.Sleep(50 * time.Microsecond) // lets those go on who can
				}
				if s.delivered.Load() >= perRound && s.completed.Load() >= perRound || time.Since(start) > longestRound {
					// Shutdown would wait for the user that calls it from inside Serve.
					s.closing.Do(func() { go s.close() })
				}
			}
		})
	}
	await.Closed(t, "the users", await.Go(users.Wait))
	await.Closed(t, "Done", s.Done())
	s.finished.Store(true)
	for d := range s.Recv() { // what was in the channel
		d.Release()
		s.delivered.Add(1)
	}
	stats := s.Stats()
	conntest.CheckLedger(t, stats)
	if stats.Queued != 0 || stats.Held != 0 || s.SendQueueCount() != 0 || s.SendQueueSize() != 0 {
		t.Errorf("%+v, %d bytes queued: something is left", stats, s.SendQueueSize())
	}
	if s.accepted.Load() != s.completed.Load() {
		t.Errorf("%d accepted, %d completed", s.accepted.Load(), s.completed.Load())
	}
	if got, want := int64(stats.Accepted), s.accepted.Load()+s.queued.Load(); got != want {
		t.Errorf("Accepted is %d, want %d", got, want)
	}
	if got, want := int64(stats.Delivered), s.delivered.Load(); got != want {
		t.Errorf("Delivered is %d, want %d", got, want)
	}
	peer.Close()
	await.Signal(t, "the peer", echo)
}

// isExpected says whether an error is one that users get in one another's way.
func isExpected(err error) bool {
	for _, expected := range []error{
		context.DeadlineExceeded, context.Canceled, datagram.ErrQueueFull, datagram.ErrWouldBlock,
		syscall.EISCONN, syscall.ENOTCONN, syscall.EDESTADDRREQ, syscall.EALREADY, syscall.ECONNREFUSED,
		// The port may be taken while Disconnect has let go of it.
		syscall.EADDRINUSE,
	} {
		if errors.Is(err, expected) {
			return true
		}
	}
	return false
}

func (s *stressed) shortly(random *rand.Rand) (context.Context, context.CancelFunc) {
	return context.WithTimeout(background, time.Duration(random.IntN(1000))*time.Microsecond)
}

// datagram returns one to the peer, now and then one that the system refuses.
func (s *stressed) datagram(random *rand.Rand) datagram.Datagram {
	d := datagram.To(s.peer, make([]byte, random.IntN(120)))
	switch {
	case random.IntN(20) == 0:
		d.Addr = netip.MustParseAddrPort("127.255.255.255:9")
	case random.IntN(3) == 0:
		d.Addr = netip.AddrPort{} // right while connected
	}
	return d
}

func (s *stressed) done(error) {
	if s.completing.Add(1) != 1 {
		s.t.Error("two completion functions at once")
	}
	if s.finished.Load() {
		s.t.Error("a completion function after Done")
	}
	if s.completed.Add(1)%16 == 0 { // from inside it everything goes too
		if s.TryQueue(datagram.To(s.peer, nil)) == nil {
			s.queued.Add(1)
		}
		s.Stats()
	}
	s.completing.Add(-1)
}

func (s *stressed) count(counter *atomic.Int64, err error) error {
	if err == nil {
		counter.Add(1)
	}
	return err
}

func (s *stressed) sendFunc(random *rand.Rand) error {
	return s.count(&s.accepted, s.SendFunc(background, s.datagram(random), s.done))
}

func (s *stressed) sendBuffers(random *rand.Rand) error {
	ctx, cancel := s.shortly(random)
	defer cancel()
	return s.count(&s.accepted, s.SendBuffers(ctx, s.datagram(random), [][]byte{{1}, nil, {2, 3}}, s.done))
}

func (s *stressed) send(random *rand.Rand) error {
	ctx, cancel := s.shortly(random)
	defer cancel()
	return s.count(&s.queued, s.Send(ctx, s.datagram(random)))
}

func (s *stressed) tryQueue(random *rand.Rand) error {
	return s.count(&s.queued, s.TryQueue(s.datagram(random)))
}

// countTried counts what TrySend handed over: also what the system then refused.
func (s *stressed) countTried(n int, err error) error {
	s.queued.Add(int64(n))
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ECONNREFUSED) {
		s.queued.Add(1)
		return nil
	}
	return err
}

func (s *stressed) trySend(random *rand.Rand) error {
	_, err := s.TrySend(s.datagram(random))
	if err == nil {
		return s.countTried(1, nil)
	}
	return s.countTried(0, err)
}

func (s *stressed) trySendBatch(random *rand.Rand) error {
	ds := make([]datagram.Datagram, random.IntN(100))
	for i := range ds {
		ds[i] = s.datagram(random)
	}
	return s.countTried(s.TrySendBatch(ds))
}

func (s *stressed) flush(random *rand.Rand) error {
	ctx, cancel := s.shortly(random)
	defer cancel()
	return s.Flush(ctx)
}

// closed returns net.ErrClosed when the handle is closed, for operations that cannot tell.
func (s *stressed) closed() error {
	select {
	case <-s.Done():
		return net.ErrClosed
	default:
	}
	if err := s.Err(); errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// read reads a few datagrams of a channel and forgets it.
func (s *stressed) read(random *rand.Rand) error {
	ch := s.Recv()
	for range random.IntN(10) {
		select {
		case d, ok := <-ch:
			if !ok {
				return s.closed()
			}
			s.got(d)
		case <-time.After(time.Millisecond):
		}
	}
	return s.closed()
}

func (s *stressed) selectOnce(*rand.Rand) error {
	select {
	case d, ok := <-s.Recv():
		if ok {
			s.got(d)
		}
	case <-time.After(time.Millisecond):
	}
	return s.closed()
}

func (s *stressed) got(d datagram.Datagram) {
	s.delivered.Add(1)
	d.Release()
	d.Release()
}

func (s *stressed) serve(random *rand.Rand) error {
	ctx, cancel := s.shortly(random)
	defer cancel()
	err := s.Serve(ctx, func(d datagram.Datagram) {
		s.delivered.Add(1)
		switch random.IntN(8) {
		case 0:
			_ = s.StopRecv()
		case 1:
			_ = s.count(&s.accepted, s.SendFunc(ctx, d.Reply(d.Payload), s.done))
		case 2:
			_ = s.Flush(ctx)
		}
		d.Release()
	})
	return err
}

func (s *stressed) stop(*rand.Rand) error {
	time.Sleep(100 * time.Microsecond) // else nobody receives anything
	return s.StopRecv()
}

func (s *stressed) connect(*rand.Rand) error {
	if err := s.Connect(s.peer); err != nil {
		return err
	}
	time.Sleep(100 * time.Microsecond)
	return s.Disconnect()
}

func (s *stressed) set(random *rand.Rand) error {
	time.Sleep(50 * time.Microsecond)
	s.SetSegmentation(random.IntN(2) == 0)
	s.SetData(random.IntN(10))
	return errors.Join(
		s.SetTTL(1+random.IntN(255)), s.SetBroadcast(random.IntN(2) == 0), s.SetReadBuffer(50_000+random.IntN(50_000)),
	)
}

func (s *stressed) ask(*rand.Rand) error {
	time.Sleep(50 * time.Microsecond)
	s.LocalAddr()
	s.RemoteAddr()
	s.Active()
	s.Data()
	s.SendQueueSize()
	s.Capabilities()
	_, err := s.TTL()
	return err
}

func (s *stressed) snapshots(*rand.Rand) error {
	time.Sleep(50 * time.Microsecond)
	before := s.Stats()
	for range 10 {
		after := s.Stats()
		conntest.CheckLedger(s.t, after)
		conntest.CheckMonotonic(s.t, before, after)
		before = after
	}
	return s.closed()
}
