package session

import (
	"net/netip"
	"testing"

	"example.com/datagram"
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
