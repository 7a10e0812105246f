package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
	"example.com/datagram/session"
)

func TestReadAndWrite(t *testing.T) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "")
	conntest.ExpectRead(t, c, "")
	write(t, peer, "truncated")
	buf := make([]byte, 5)
	if n, err := c.Read(buf); n != 5 || err != nil || string(buf) != "trunc" {
		t.Errorf("Read: %d, %v, %q", n, err, buf)
	}
	for _, text := range []string{"", "x", strings.Repeat("large", 10_000)} {
		write(t, peer, text)
		conntest.ExpectRead(t, c, text)
		write(t, c, text)
		conntest.ExpectRead(t, peer, text)
	}
	if local := c.LocalAddr().(*net.UDPAddr).AddrPort(); local != s.conn.LocalAddr() {
		t.Errorf("LocalAddr is %v, want %v", local, s.conn.LocalAddr())
	}
	if remote := c.RemoteAddr().(*net.UDPAddr).AddrPort(); remote != c.Peer() {
		t.Errorf("RemoteAddr is %v, want %v", remote, c.Peer())
	}
	if want := "udp " + s.conn.LocalAddr().String() + " -> " + c.Peer().String(); c.String() != want {
		t.Errorf("String is %q, want %q", c, want)
	}
	conntest.CheckErrno(t, conntest.Err(c.Write(make([]byte, 65508))), syscall.EMSGSIZE)
}

func TestReceive(t *testing.T) {
	s := serve(t, session.Config{}, datagram.WithMetadata(datagram.MetaLocal, datagram.MetaTime))
	peer, c := s.peer(t, "first")
	d, err := c.Receive(t.Context())
	if err != nil || string(d.Payload) != "first" || d.Addr != c.Peer() || d.Meta.Local != conntest.Localhost4 || d.Meta.Time.IsZero() {
		t.Errorf("Receive: %v, %v", d, err)
	}
	if cap(d.Payload) != len(d.Payload) {
		t.Errorf("%d bytes with a capacity of %d", len(d.Payload), cap(d.Payload))
	}
	d.Release()

	ctx, cancel := context.WithCancel(t.Context())
	result := waiting(t, "Receive", func() error { return conntest.Err(c.Receive(ctx)) })
	cancel()
	err = await.Value(t, "Receive", result)
	conntest.ExpectBare(t, "Receive", err, context.Canceled)
	write(t, peer, "kept")
	s.received(t, 2)
	conntest.ExpectBare(t, "Receive", conntest.Err(c.Receive(ctx)), context.Canceled)
	conntest.ExpectRead(t, c, "kept")
}

// TestManyReaders lets readers of all kinds wait for one session: each datagram wakes one of them, also after those
// that would have been next have left.
func TestManyReaders(t *testing.T) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "first")
	conntest.ExpectRead(t, c, "first")
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := waiting(t, "Receive", func() error { return conntest.Err(c.Receive(ctx)) })
	texts := make(chan string, 3)
	for range cap(texts) - 1 {
		waiting(t, "Read", func() error {
			buf := make([]byte, 10)
			n, err := c.Read(buf)
			texts <- string(buf[:n])
			return err
		})
	}
	waiting(t, "Receive", func() error {
		d, err := c.Receive(background)
		texts <- string(d.Payload)
		return err
	})
	cancel()
	expect(t, "Receive", cancelled, context.Canceled)
	for i := range cap(texts) {
		write(t, peer, fmt.Sprint(i))
		if text := await.Value(t, "a reader", texts); text != fmt.Sprint(i) {
			t.Errorf("read %q, want %d", text, i)
		}
	}
}

// TestNextReaderLeaves cancels one of two readers, that which would get the next datagram: the other gets it.
func TestNextReaderLeaves(t *testing.T) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "first")
	conntest.ExpectRead(t, c, "first")
	for range 10 { // the other may notice first
		ctx, cancel := context.WithCancel(t.Context())
		leaves := waiting(t, "Receive", func() error { return conntest.Err(c.Receive(ctx)) })
		stays := reading(t, c)
		cancel()
		expect(t, "Receive", leaves, context.Canceled)
		write(t, peer, "x")
		expect(t, "Read", stays, nil)
	}
}

// TestReadersThatLeave cancels readers while datagrams arrive: none is lost with a reader that leaves.
func TestReadersThatLeave(t *testing.T) {
	const sent = 3000
	s := serve(t, session.Config{Queue: sent})
	peer, c := s.peer(t, "first")
	var read atomic.Int64
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for read.Load() < sent+1 {
				ctx, cancel := context.WithCancel(background)
				wait := time.AfterFunc(time.Duration(rand.N(50))*time.Microsecond, cancel)
				if d, err := c.Receive(ctx); err == nil {
					read.Add(1)
					d.Release()
				}
				wait.Stop()
				cancel()
				if i == 0 { // the deadline interrupts the others too
					c.SetReadDeadline(time.Now().Add(rand.N(time.Millisecond)))
				}
			}
		})
	}
	for i := range sent {
		write(t, peer, "x")
		if i%50 == 49 { // which fit any receive buffer
			s.received(t, uint64(i+2))
		}
	}
	await.Return(t, "readers", readers.Wait)
	if n := read.Load(); n != sent+1 || s.Stats().Held != 0 {
		t.Errorf("read %d of %d; %+v", n, sent+1, s.Stats())
	}
}

func TestRecv(t *testing.T) {
	s := serve(t, session.Config{Queue: 4})
	peer, c := s.peer(t, "0")
	conntest.WriteNumbers(t, peer, 1, 3)
	s.received(t, 3)
	other, waits := s.peer(t, "first")
	conntest.ExpectRead(t, waits, "first")
	result := reading(t, waits)
	waits.Recv()
	expect(t, "Read", result, syscall.EALREADY)
	write(t, other, "for the channel")
	if text := conntest.Text(t, waits.Recv()); text != "for the channel" {
		t.Errorf("received %q", text)
	}

	ch := c.Recv()
	if c.Recv() != ch {
		t.Error("another channel")
	}
	conntest.ExpectError(t, "Read", conntest.Err(c.Read(nil)), syscall.EALREADY)
	conntest.ExpectError(t, "Receive", conntest.Err(c.Receive(background)), syscall.EALREADY)
	conntest.ExpectNumbers(t, ch, 0, 3)
	conntest.WriteNumbers(t, peer, 3, 10) // of these 4 have room
	s.received(t, 12)
	conntest.ExpectBare(t, "Err", c.Err(), nil)
	conntest.ExpectError(t, "Close", c.Close(), nil)
	conntest.ExpectNumbers(t, ch, 3, 7)
	await.Closed(t, "Recv", ch)
	conntest.ExpectBare(t, "Err", c.Err(), net.ErrClosed)
	if stats := s.Stats(); stats.Dropped != 3 || stats.Delivered != 9 {
		t.Errorf("%+v", stats)
	}
	if c.Recv() != ch {
		t.Error("another channel after Close")
	}
}

// TestSlowSession checks that the newest datagrams of a session that nobody reads are dropped, and no others.
func TestSlowSession(t *testing.T) {
	s := serve(t, session.Config{Queue: 3})
	slow, c := s.peer(t, "0")
	fast, other := s.peer(t, "first")
	conntest.ExpectRead(t, other, "first")
	for i := range 20 {
		conntest.WriteNumbers(t, slow, i+1, i+2)
		write(t, fast, "ping")
		conntest.ExpectRead(t, other, "ping")
	}
	s.received(t, 42)
	for _, want := range []string{"0", "1", "2"} {
		conntest.ExpectRead(t, c, want)
	}
	write(t, slow, "later")
	conntest.ExpectRead(t, c, "later")
	if stats := s.Stats(); stats.Dropped != 18 || stats.Delivered != 25 {
		t.Errorf("%+v", stats)
	}
}

func TestClose(t *testing.T) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "unread")
	conntest.ExpectError(t, "Close", c.Close(), nil)
	if stats := s.Stats(); stats.Sessions != 0 || stats.Closed != 1 || stats.Discarded != 1 {
		t.Errorf("%+v", stats)
	}
	for what, err := range map[string]error{
		"Close":       c.Close(),
		"Read":        conntest.Err(c.Read(nil)),
		"Receive":     conntest.Err(c.Receive(background)),
		"Write":       conntest.Err(c.Write(nil)),
		"SetDeadline": c.SetDeadline(time.Now()),
	} {
		conntest.ExpectError(t, what, err, net.ErrClosed)
		conntest.CheckErrno(t, err, net.ErrClosed)
	}
	conntest.ExpectBare(t, "Err", c.Err(), net.ErrClosed)
	await.Closed(t, "Recv", c.Recv())

	write(t, peer, "again")
	again := accept(t, s.Listener)
	conntest.ExpectRead(t, again, "again")
	write(t, again, "answer")
	conntest.ExpectRead(t, peer, "answer")
	conntest.ExpectBare(t, "Err", again.Err(), nil)

	results := []<-chan error{reading(t, again), reading(t, again)}
	conntest.ExpectError(t, "Close", again.Close(), nil)
	for _, result := range results {
		expect(t, "Read", result, net.ErrClosed)
	}
}

func TestReadDeadline(t *testing.T) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "kept")
	conntest.ExpectError(t, "SetReadDeadline", c.SetReadDeadline(time.Unix(1, 0)), nil)
	err := conntest.Err(c.Read(nil))
	conntest.CheckOpError(t, err, conntest.OpError{
		Op: "read", Network: "udp", Source: s.conn.LocalAddr(), Addr: c.Peer(), Is: os.ErrDeadlineExceeded,
	})
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v is no time-out", err)
	}
	c.SetReadDeadline(time.Time{})
	conntest.ExpectRead(t, c, "kept")

	// Moved while readers wait, sooner, later and away.
	c.SetReadDeadline(time.Now().Add(long))
	results := []<-chan error{reading(t, c), reading(t, c)}
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	for _, result := range results {
		expect(t, "Read", result, os.ErrDeadlineExceeded)
	}
	c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	c.SetReadDeadline(time.Now().Add(long))
	result := reading(t, c)
	c.SetReadDeadline(time.Time{})
	await.NotYet(t, "Read without a deadline", result)
	write(t, peer, "more")
	expect(t, "Read", result, nil)
	conntest.ExpectBare(t, "Err", c.Err(), nil)
}

// TestBlockedWriters checks what ends the wait for room in the handle's queue.
func TestBlockedWriters(t *testing.T) {
	faults := datagramtest.NewFaults(1)
	s := serve(t, session.Config{}, datagram.WithSendQueue(1, 1<<20), faults.Option())
	peer, c := s.peer(t, "first")
	_, other := s.peer(t, "first")
	faults.Inject(datagramtest.Fault{Op: datagramtest.OpSend, Probability: 1, Err: syscall.EAGAIN})
	write(t, c, "fills the queue")
	writing := func(c *session.Conn) <-chan error {
		t.Helper()
		return waiting(t, "Write", func() error { return conntest.Err(c.Write([]byte("waits"))) })
	}

	c.SetWriteDeadline(time.Now().Add(-time.Second))
	conntest.ExpectError(t, "Write", conntest.Err(c.Write(nil)), os.ErrDeadlineExceeded)
	c.SetWriteDeadline(time.Now().Add(long))
	results := []<-chan error{writing(c), writing(c)}
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	for _, result := range results {
		expect(t, "Write", result, os.ErrDeadlineExceeded)
	}
	c.SetDeadline(time.Time{})
	waits := writing(c)
	result := writing(other)
	conntest.ExpectError(t, "Close", other.Close(), nil)
	expect(t, "Write", result, net.ErrClosed)
	faults.Clear()
	expect(t, "Write", waits, nil)
	conntest.ExpectRead(t, peer, "fills the queue")
	conntest.ExpectRead(t, peer, "waits")

	faults.Inject(datagramtest.Fault{Op: datagramtest.OpSend, Probability: 1, Err: syscall.EAGAIN})
	write(t, c, "fills the queue")
	result = writing(c)
	s.conn.Close()
	expect(t, "Write", result, net.ErrClosed)
}

// TestWritersThatAreEnded writes to a full queue while deadlines pass and the session is closed: each Write returns,
// and says why.
func TestWritersThatAreEnded(t *testing.T) {
	faults := datagramtest.NewFaults(1)
	s := serve(t, session.Config{}, datagram.WithSendQueue(1, 1<<20), faults.Option())
	_, keeps := s.peer(t, "first")
	faults.Inject(datagramtest.Fault{Op: datagramtest.OpSend, Probability: 1, Err: syscall.EAGAIN})
	write(t, keeps, "fills the queue")
	for range 50 {
		_, c := s.peer(t, "first")
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() {
				for {
					err := conntest.Err(c.Write([]byte("waits")))
					if errors.Is(err, net.ErrClosed) {
						return
					}
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("Write: %v", err)
						return
					}
				}
			})
		}
		for range 10 {
			c.SetWriteDeadline(time.Now().Add(rand.N(100 * time.Microsecond)))
			time.Sleep(rand.N(100 * time.Microsecond))
			c.SetWriteDeadline(time.Time{})
		}
		c.Close()
		await.Return(t, "writers", writers.Wait)
	}
	faults.Clear()
}

// TestMemoryOfTrain checks that a datagram that waits keeps no memory but its own: 300 sessions with one of a
// coalesced train each would otherwise keep 64 KiB each.
func TestMemoryOfTrain(t *testing.T) {
	const sessions, train = 300, 40
	s := serve(t, session.Config{Backlog: sessions, Queue: 1}, datagram.WithReadBuffer(4<<20))
	ds := make([]datagram.Datagram, train)
	for i := range ds {
		ds[i].Payload = bytes.Repeat([]byte("x"), 1400)
	}
	peers := make([]*datagram.Conn, sessions)
	for i := range peers {
		peers[i] = conntest.Dial(t, s.conn)
	}
	before := heap()
	for i, peer := range peers {
		if _, err := peer.SendBatch(background, ds); err != nil {
			t.Fatal(err)
		}
		s.received(t, uint64((i+1)*train))
	}
	heapWithin(t, before+sessions*(8<<10))
	if stats := s.Stats(); stats.Sessions != sessions || stats.Held != sessions {
		t.Errorf("%+v", stats)
	}
}

// TestMemoryOfReceived checks the same of datagrams that a waiting Receive gets.
func TestMemoryOfReceived(t *testing.T) {
	const sessions, train = 100, 40
	s := serve(t, session.Config{Queue: 1}, datagram.WithReadBuffer(4<<20))
	ds := make([]datagram.Datagram, train)
	for i := range ds {
		ds[i].Payload = bytes.Repeat([]byte("x"), 1400)
	}
	received := make(chan datagram.Datagram, sessions)
	before := heap()
	for i := range sessions {
		peer := conntest.Dial(t, s.conn)
		conntest.Send(t, peer, conntest.ToPeer("first"))
		c := accept(t, s.Listener)
		conntest.ExpectRead(t, c, "first")
		waiting(t, "Receive", func() error {
			d, err := c.Receive(background)
			received <- d
			return err
		})
		if _, err := peer.SendBatch(background, ds); err != nil {
			t.Fatal(err)
		}
		s.received(t, uint64((i+1)*(train+1)))
	}
	await.Until(t, "Receive", func() bool { return len(received) == sessions })
	heapWithin(t, before+sessions*(16<<10))
	for range sessions {
		if d := <-received; cap(d.Payload) != len(ds[0].Payload) {
			t.Errorf("%d bytes with a capacity of %d", len(d.Payload), cap(d.Payload))
		}
	}
}

// heap returns the bytes of reachable memory. Pools are emptied in two collections.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// heapWithin waits until no more than limit bytes are reachable: a receive gives back its memory when it waits.
func heapWithin(tb testing.TB, limit int64) {
	tb.Helper()
	await.Until(tb, fmt.Sprintf("a heap of %d bytes", limit), func() bool { return heap() <= limit })
}

func TestAllocations(t *testing.T) {
	s := serve(t, session.Config{})
	peer := conntest.Dial(t, s.conn)
	conntest.Send(t, peer, conntest.ToPeer("first"))
	c := accept(t, s.Listener)
	buf := make([]byte, 2000)
	c.Read(buf)
	question := datagram.Datagram{Payload: make([]byte, 1000)}
	if n := testenv.Allocations(t, func() {
		peer.TrySend(question)
		c.Read(buf)
		c.Write(buf[:1000])
	}); n >= 1 {
		t.Errorf("%v allocations for a datagram in and one out", n)
	}
}
