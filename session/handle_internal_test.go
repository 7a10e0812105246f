package session

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// TestPeerMovesBetweenHandles passes a peer's datagrams to two handles with one address in turn, as a system that
// steers by processor does: they come to one session, also if both handles open it at the same time.
func TestPeerMovesBetweenHandles(t *testing.T) {
	a, b := conntest.Loopback(t), conntest.Loopback(t)
	l, err := Listen(Config{}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown(conntest.EndedContext(t))
	first, second := l.handles[0], l.handles[1]
	second.local = first.local // nothing arrives there
	peer := netip.MustParseAddrPort("127.0.0.2:9")
	question := func(text string) []datagram.Datagram {
		return []datagram.Datagram{datagram.To(peer, []byte(text))}
	}
	first.receive(question("0"))
	second.receive(question("1"))

	late := question("2")
	f := second.flow(&late[0])
	if second.open(l.table.shard(f), f, &late[0]) {
		t.Error("opened a second session with the same peer")
	}
	second.receive(late)

	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0", "1", "2"} {
		conntest.ExpectRead(t, c, want)
	}
	if s := l.Stats(); s.Opened != 1 || s.Received != 3 || s.Delivered != 3 {
		t.Errorf("%+v", s)
	}
}

// TestWriteNoticesLate lets a write deadline pass, and a session end, after a Write has looked at them and before it
// waits for room.
func TestWriteNoticesLate(t *testing.T) {
	full := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpSend, Probability: 1, Err: syscall.EAGAIN})
	l, err := Listen(Config{}, conntest.Loopback(t, datagram.WithSendQueue(1, 1), full.Option()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown(conntest.EndedContext(t))
	d := datagram.To(netip.MustParseAddrPort("127.0.0.2:9"), []byte("x"))
	l.handles[0].receive([]datagram.Datagram{d})
	c, err := l.AcceptContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("fills the queue")); err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		by   func() error
		want error
	}{
		{func() error { return c.SetWriteDeadline(time.Unix(0, 0)) }, os.ErrDeadlineExceeded},
		{c.Close, net.ErrClosed},
	} {
		if err := end.by(); err != nil {
			t.Fatal(err)
		}
		await.Return(t, "the write", func() { conntest.ExpectError(t, "the write", c.writeWhenRoom(d), end.want) })
	}
}

// TestShardsAreUsed spreads peers of one network, and of one host, over the table.
func TestShardsAreUsed(t *testing.T) {
	var table table
	for name, peer := range map[string]func(i int) netip.AddrPort{
		"addresses": func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5353)
		},
		"ports": func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.IPv6Loopback(), uint16(32768+i)) },
	} {
		used := make(map[*shard]int)
		for i := range 100 * shards {
			used[table.shard(flow{remote: peer(i)})]++
		}
		for _, n := range used {
			if n > 400 {
				t.Errorf("%s: a shard has %d of %d peers", name, n, 100*shards)
			}
		}
		if len(used) < shards/2 {
			t.Errorf("%s: %d of %d shards are used", name, len(used), shards)
		}
	}
}
