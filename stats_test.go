package datagram_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// Every snapshot adds up and no counter falls, while datagrams are sent, received and dropped
// in all the ways there are.
func TestEverySnapshotAddsUp(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.Block, datagram.DropNewest, datagram.DropOldest} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) {
			c := conntest.Loopback(t, datagram.WithRecvQueue(2, policy), datagram.WithSendQueue(5, 500))
			to := datagram.To(c.LocalAddr(), []byte("to itself"))
			bad := datagram.To(netip.MustParseAddrPort("127.255.255.255:9"), []byte("nowhere"))
			end := make(chan struct{})
			var group sync.WaitGroup
			during := func(f func()) {
				group.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
							f()
						}
					}
				})
			}
			during(func() {
				for d := range c.Recv() {
					d.Release()
				}
			})
			during(func() { c.StopRecv() })
			during(func() { c.Send(background, to) })
			during(func() { c.Send(background, bad) })
			during(func() { c.TrySend(to) })
			during(func() { c.TrySend(bad) })
			during(func() { c.TrySendBatch([]datagram.Datagram{to, to, bad, to}) })
			during(func() { c.TryQueue(to) })

			var watchers sync.WaitGroup
			for range 2 {
				watchers.Go(func() {
					before := c.Stats()
					everything := func() bool {
						return before.Sent > 0 && before.SendErrors > 0 && before.Received > 0 && before.Delivered > 0
					}
					for i := 0; i < 300 || !everything(); i++ {
						after := c.Stats()
						conntest.CheckLedger(t, after)
						conntest.CheckMonotonic(t, before, after)
						before = after
					}
				})
			}
			await.Closed(t, "the watchers", await.Go(watchers.Wait))
			close(end)
			c.StopRecv()
			c.Close()
			await.Closed(t, "the others", await.Go(group.Wait))
			after := c.Stats()
			if after.Queued != 0 {
				t.Errorf("%d queued after Close", after.Queued)
			}
			conntest.CheckMonotonic(t, after, c.Stats())
		})
	}
}

// Counters say what was sent and received to the byte.
func TestCountersAreExact(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	ch := to.Recv()
	const n = 100
	size := 0
	for i := range n {
		payload := make([]byte, i%7*10)
		size += len(payload)
		if err := from.Send(background, datagram.To(to.LocalAddr(), payload)); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		conntest.Text(t, ch)
	}
	if err := from.Flush(background); err != nil {
		t.Fatal(err)
	}
	sent, received := from.Stats(), to.Stats()
	if sent.Accepted != n || sent.Sent != n || sent.SentBytes != uint64(size) || sent.SendErrors != 0 || sent.Queued != 0 {
		t.Errorf("sent: %+v, want %d datagrams of %d bytes", sent, n, size)
	}
	if received.Received != n || received.Delivered != n || received.ReceivedBytes != uint64(size) || received.Held != 0 {
		t.Errorf("received: %+v, want %d datagrams of %d bytes", received, n, size)
	}
	for name, calls := range map[string]uint64{"SendCalls": sent.SendCalls, "ReceiveCalls": received.ReceiveCalls} {
		if calls == 0 || calls > n {
			t.Errorf("%s is %d for %d datagrams", name, calls, n)
		}
	}
}

// One datagram a system call where that is asked for, many where it is not.
func TestOffloadNoneMovesOneDatagramInACall(t *testing.T) {
	testenv.AllOffloads(t)
	const n = 20
	calls := func(offload datagram.Offload) uint64 {
		c := conntest.Loopback(t, datagram.WithOffload(offload))
		s := conntest.SocketTo(t, c)
		conntest.WriteNumbers(t, s, 0, n)
		conntest.ExpectNumbers(t, c.Recv(), 0, n)
		return c.Stats().ReceiveCalls
	}
	if got := calls(datagram.OffloadNone); got != n {
		t.Errorf("%d calls without batches, want %d", got, n)
	}
	if got := calls(datagram.OffloadBatch); got >= n {
		t.Errorf("%d calls with batches", got)
	}
}

// What lies in the channel is Held, and Delivered once it is read.
func TestHeldUntilRead(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	ch := c.Recv()
	conntest.WriteNumbers(t, s, 0, 5)
	conntest.AwaitHeld(t, c, 5)
	for i := range 5 {
		if stats := c.Stats(); stats.Delivered != uint64(i) || stats.Held != uint64(5-i) {
			t.Fatalf("Delivered %d, Held %d after %d reads of 5", stats.Delivered, stats.Held, i)
		}
		conntest.Text(t, ch)
	}
}

// While a handler runs its datagram is delivered, and the others of the batch are Held.
func TestHeldWhileAHandlerRuns(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 6)
	calls := uint64(0)
	result := conntest.Serve(background, c, func(datagram.Datagram) {
		calls++
		if stats := c.Stats(); stats.Delivered != calls || stats.Held != stats.Received-calls {
			t.Errorf("call %d: %+v", calls, stats)
		}
		if calls == 6 {
			c.StopRecv()
		}
	})
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)
}

// A datagram that moves from one channel to the next is counted once.
func TestCountersOfWhatIsResumed(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithMaxDatagramSize(4), datagram.WithRecvQueue(2, datagram.Block))
	s := conntest.SocketTo(t, c)
	for range 3 {
		if _, err := s.Write([]byte("cut off")); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		ch := c.Recv()
		await.Until(t, "a full channel", func() bool { return len(ch) == cap(ch) })
		c.StopRecv()
	}
	ch := c.Recv()
	for range 3 {
		if got := conntest.Text(t, ch); got != "cut " {
			t.Errorf("received %q", got)
		}
	}
	if stats := c.Stats(); stats.Truncated != 3 || stats.Received != 3 || stats.Delivered != 3 {
		t.Errorf("%+v, want 3 Received, Delivered and Truncated", stats)
	}
}

// Truncated counts those that were delivered: not what waits in the channel, and not what was taken out of it.
func TestTruncatedWereDelivered(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.Block, datagram.DropOldest} {
		c := conntest.Loopback(t, datagram.WithRecvQueue(2, policy), datagram.WithMaxDatagramSize(1))
		s := conntest.SocketTo(t, c)
		ch := c.Recv()
		const count = 6
		for range count {
			if _, err := s.Write([]byte("long")); err != nil {
				t.Fatal(err)
			}
		}
		await.Until(t, "a full channel", func() bool {
			stats := c.Stats()
			return len(ch) == 2 && (policy == datagram.Block || stats.Received == count)
		})
		want := func(when string, n uint64) {
			t.Helper()
			if stats := c.Stats(); stats.Truncated != n || stats.Delivered != n {
				t.Errorf("policy %v, %s: Truncated %d, Delivered %d, want %d", policy, when, stats.Truncated, stats.Delivered, n)
			}
		}
		want("before the first", 0)
		<-ch
		want("after the first", 1)
		c.StopRecv()
		want("stopped", 1)
		ch = c.Recv()
		want("resumed", 1)
		<-ch
		want("after the second", 2)
		if policy == datagram.Block {
			for range count - 2 {
				<-ch
			}
			want("after the last", count)
		}
		if stats := c.Stats(); stats.ReceivedBytes != count {
			t.Errorf("%d bytes of %d datagrams cut to one", stats.ReceivedBytes, count)
		}
	}
}

// table prints as its Table.
type table struct{ datagram.Stats }

func (t table) String() string { return t.Table() }

// Each field of Stats has a counter: a snapshot minus itself is zero but for the levels, and every field is
// logged.
func TestStatsCoverEveryField(t *testing.T) {
	var s datagram.Stats
	fields := reflect.ValueOf(&s).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetUint(uint64(i + 1))
	}
	if got, want := s.Sub(s), (datagram.Stats{Queued: s.Queued, Held: s.Held}); got != want {
		t.Errorf("a snapshot minus itself: %v", got)
	}
	if got := s.Sub(datagram.Stats{}); got != s {
		t.Errorf("%v minus nothing: %v", s, got)
	}
	logged := s.LogValue().Group()
	if len(logged) != fields.NumField() {
		t.Errorf("%d of %d fields are logged", len(logged), fields.NumField())
	}
	seen := make(map[uint64]bool)
	for _, attr := range logged {
		if n := attr.Value.Uint64(); n == 0 || seen[n] {
			t.Errorf("%v is logged twice or is of no field", attr)
		} else {
			seen[n] = true
		}
		if want := fmt.Sprintf(" %v ", attr); !strings.Contains(" "+s.String()+" ", want) {
			t.Errorf("no %q in %q", want, s)
		}
	}
	if (datagram.Stats{}).String() != "" || len(datagram.Stats{}.LogValue().Group()) != 0 {
		t.Error("zero counters are logged")
	}
}

func TestLogValues(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("x", "stats", datagram.Stats{Sent: 2, Held: 1})
	log.Info("x", "error", &datagram.NetworkError{
		Dst: netip.MustParseAddrPort("192.0.2.1:9"), Offender: netip.MustParseAddr("198.51.100.1"), MTU: 1280, Err: syscall.EMSGSIZE,
	})
	log.Info("x", "caps", datagram.Capabilities{System: "a system", GSO: datagram.Feature{Active: true}})
	for _, want := range []string{
		"stats.sent=2 stats.held=1\n",
		`error.dst=192.0.2.1:9 error.err="message too long" error.offender=198.51.100.1 error.mtu=1280` + "\n",
		`caps.system="a system" caps.batch=off caps.GSO=on`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// What people read, of which programs should read the fields.
func TestStrings(t *testing.T) {
	for _, test := range []struct {
		value fmt.Stringer
		want  string
	}{
		{table{datagram.Stats{
			Accepted: 1, Queued: 2, Sent: 3, SentBytes: 4, SendErrors: 5, Received: 6, ReceivedBytes: 7, Delivered: 8, Truncated: 9, Held: 10,
			KernelDrops: 11, PolicyDrops: 12, StaleDrops: 13, CloseDrops: 14, ReceiveErrors: 15, Retries: 16, NoBuffers: 19, Fallbacks: 20, SendCalls: 17, ReceiveCalls: 18, UnreportedErrors: 21,
		}}, `
accepted   1 datagrams, 2 queued
sent       3 datagrams, 4 bytes, 5 failed, 17 calls
repeated   16 retries, 19 without buffers, 20 batches without GSO
received   6 datagrams, 7 bytes, 15 errors, 18 calls, 21 unreported errors
delivered  8 datagrams, 9 truncated, 10 held
dropped    11 by the kernel, 12 by policy, 13 stale, 14 by Close`},
		{datagram.Capabilities{
			Batch: datagram.Feature{Active: true}, GSO: datagram.Feature{Active: true, Reason: "not everywhere"},
			GRO: datagram.Feature{Reason: "too old"}, System: "a system", ReceiveMessages: 1, SendMessages: 2, Segments: 3,
			ReadBuffer: datagram.Buffer{Granted: 4}, WriteBuffer: datagram.Buffer{Asked: 6, Granted: 5, Reason: "the limit"},
		}, `
system         a system
batch          on
GSO            on (not everywhere)
GRO            off (too old)
at a time      1 messages received, 2 sent, 3 datagrams in one
local address  off
hop limit      off
traffic class  off
time stamp     off
balancing      off
network errors off
don't fragment off
kernel drops   off
read buffer    4 bytes
write buffer   5 bytes, asked for 6 (the limit)`},
	} {
		if got := "\n" + test.value.String(); got != test.want {
			t.Errorf("%T:%s\nwant:%s", test.value, got, test.want)
		}
	}
	err := &datagram.NetworkError{Dst: netip.MustParseAddrPort("192.0.2.1:9"), Err: syscall.ECONNREFUSED}
	plain := err.Error()
	err.Offender = netip.MustParseAddr("198.51.100.1")
	if got, want := err.Error(), plain+" (reported by 198.51.100.1)"; got != want || plain != "datagram to 192.0.2.1:9: connection refused" {
		t.Errorf("%q and %q", plain, got)
	}
}
