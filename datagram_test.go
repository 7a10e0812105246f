package datagram_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

func TestTo(t *testing.T) {
	to := netip.MustParseAddrPort("[fe80::1%lo]:9")
	payload := []byte("x")
	d := datagram.To(to, payload)
	if d.Addr != to || &d.Payload[0] != &payload[0] || d.Partial || d.Meta != (datagram.Metadata{}) {
		t.Errorf("To made %+v", d)
	}
	if udp, ok := d.NetAddr().(*net.UDPAddr); !ok || udp.AddrPort() != to {
		t.Errorf("its net.Addr is %v", d.NetAddr())
	}
	if addr := (datagram.Datagram{}).NetAddr(); addr != nil {
		t.Errorf("the net.Addr of none is %v", addr)
	}
}

// textAddr is a net.Addr of a type that nobody knows.
type textAddr struct{ network, text string }

func (a textAddr) Network() string { return a.network }

func (a textAddr) String() string { return a.text }

func TestToNet(t *testing.T) {
	zoned := &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 9}
	for _, test := range []struct {
		name string
		addr net.Addr
		want netip.AddrPort
		back string // of NetAddr, "" for none
	}{
		{"nil", nil, netip.AddrPort{}, ""},
		{"typed nil UDP", (*net.UDPAddr)(nil), netip.AddrPort{}, ""},
		{"typed nil IP", (*net.IPAddr)(nil), netip.AddrPort{}, ""},
		{"typed nil Unix", (*net.UnixAddr)(nil), netip.AddrPort{}, ""},
		{"empty UDP", &net.UDPAddr{}, netip.AddrPort{}, ""},
		{"empty IP", &net.IPAddr{}, netip.AddrPort{}, ""},
		{"UDP", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, netip.MustParseAddrPort("127.0.0.1:9"), "127.0.0.1:9"},
		{"UDP with a zone", zoned, netip.MustParseAddrPort("[fe80::1%lo]:9"), "[fe80::1%lo]:9"},
		{"IP", &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}, netip.MustParseAddrPort("127.0.0.1:0"), "127.0.0.1:0"},
		{"Unix", &net.UnixAddr{Name: "/tmp/x", Net: "unixgram"}, netip.AddrPort{}, "/tmp/x"},
		{"raw", datagram.RawAddr{Sockaddr: []byte{1, 2}}, netip.AddrPort{}, "0102"},
		{"foreign UDP", textAddr{"udp4", "127.0.0.1:9"}, netip.MustParseAddrPort("127.0.0.1:9"), "127.0.0.1:9"},
		{"foreign", textAddr{"pigeon", "loft"}, netip.AddrPort{}, "loft"},
	} {
		d := datagram.ToNet(test.addr, []byte("x"))
		back := ""
		if addr := d.NetAddr(); addr != nil {
			back = addr.String()
		}
		if d.Addr != test.want || back != test.back || string(d.Payload) != "x" {
			t.Errorf("%s: Addr %v, NetAddr %q; want %v, %q", test.name, d.Addr, back, test.want, test.back)
		}
	}
}

func TestToNetSends(t *testing.T) {
	server := conntest.Loopback(t)
	client := conntest.New(t)
	conntest.TrySend(t, client, datagram.ToNet(net.UDPAddrFromAddrPort(server.LocalAddr()), []byte("ask")))
	d := conntest.Expect(t, server, "ask")
	conntest.TrySend(t, server, datagram.ToNet(d.NetAddr(), []byte("answer")))
	conntest.Expect(t, client, "answer")

	for _, addr := range []net.Addr{nil, (*net.UDPAddr)(nil), (*net.UnixAddr)(nil), &net.UDPAddr{}} {
		_, err := server.TrySend(datagram.ToNet(addr, nil))
		conntest.CheckErrno(t, err, syscall.EDESTADDRREQ)
	}
	// An address that a socket cannot have is refused and named.
	for _, addr := range []net.Addr{
		textAddr{"pigeon", "loft"},
		&net.UnixAddr{Name: "/tmp/x", Net: "unixgram"},
		&net.UDPAddr{IP: net.IP{1, 2, 3}, Port: 9}, &net.UDPAddr{IP: net.IP{127, 0, 0, 1}, Port: 1<<16 + 9},
	} {
		_, err := server.TrySend(datagram.ToNet(addr, []byte("x")))
		op, ok := err.(*net.OpError)
		if !ok || op.Op != "write" || op.Addr == nil || op.Addr.String() != addr.String() {
			t.Errorf("sending UDP to %v: %v", addr, err)
		}
	}
}

func TestCloneOwnsItsMemory(t *testing.T) {
	c := conntest.Loopback(t)
	conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("keep")))
	d := conntest.Expect(t, c, "keep")
	clone := d.Clone()
	d.Payload[0] = 'X'
	d.Release()
	clone.Release()
	for range 100 {
		conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("over")))
		conntest.Expect(t, c, "over").Release()
	}
	if string(clone.Payload) != "keep" || clone.Addr != d.Addr || clone.Meta != d.Meta {
		t.Errorf("the clone is %q from %v", clone.Payload, clone.Addr)
	}
}

func TestReplyComesFromTheAddressAsked(t *testing.T) {
	server := conntest.Listen(t, "udp4", ":0")
	client := conntest.Loopback(t)
	// All of 127.0.0.0/8 is this host.
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), server.LocalAddr().Port())
	conntest.TrySend(t, client, datagram.To(asked, []byte("ask")))
	d := conntest.Expect(t, server, "ask")
	if reply := d.Reply(nil); reply.Meta.Local != asked.Addr() || reply.Addr != client.LocalAddr() {
		t.Errorf("the reply goes from %v to %v", reply.Meta.Local, reply.Addr)
	}
	conntest.TrySend(t, server, d.Reply([]byte("answer")))
	if d := conntest.Expect(t, client, "answer"); d.Addr != asked {
		t.Errorf("the answer came from %v, asked was %v", d.Addr, asked)
	}
}

// RFC 3168 section 5.
func TestECN(t *testing.T) {
	for tc, want := range map[uint8]datagram.ECN{
		0: datagram.NotECT, 1: datagram.ECT1, 2: datagram.ECT0, 3: datagram.CE, 0xb8 | 2: datagram.ECT0, 0xff: datagram.CE,
	} {
		if got := (datagram.Metadata{TrafficClass: tc}).ECN(); got != want {
			t.Errorf("the ECN of %#x is %d, want %d", tc, got, want)
		}
	}
	if datagram.NotECT != 0 || datagram.ECT1 != 1 || datagram.ECT0 != 2 || datagram.CE != 3 {
		t.Error("the constants are not what is on the wire")
	}
}

func TestResolve(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"udp", "127.0.0.1:9", "127.0.0.1:9"},
		{"udp4", "127.0.0.1:0", "127.0.0.1:0"},
		{"udp", "[::1]:9", "[::1]:9"},
		{"udp6", "[fe80::1%lo]:9", "[fe80::1%lo]:9"},
		{"udp", "[::ffff:192.0.2.1]:9", "192.0.2.1:9"},
		{"udp", ":53", "0.0.0.0:53"},
		{"udp4", ":53", "0.0.0.0:53"},
		{"udp6", ":53", "[::]:53"},
		{"udp", "127.0.0.1:domain", "127.0.0.1:53"},
		{"udp4", "localhost:53", "127.0.0.1:53"},
	} {
		got, err := datagram.Resolve(t.Context(), test.network, test.address)
		if err != nil || got.String() != test.want {
			t.Errorf("%s %s is %v, %v; want %s", test.network, test.address, got, err, test.want)
		}
	}
	got, err := datagram.Resolve(t.Context(), "udp", "127.0.0.1:no such service")
	conntest.CheckOpError(t, err, conntest.OpError{Op: "resolve", Network: "udp", Text: "no such service"})
	if got.IsValid() {
		t.Errorf("an address beside the error: %v", got)
	}
}

// An address without a host is what package net makes of ":port": this host.
func TestToNetWithoutHost(t *testing.T) {
	peer := conntest.Loopback(t)
	c := conntest.Listen(t, "udp4", ":0")
	conntest.TrySend(t, c, datagram.ToNet(&net.UDPAddr{Port: int(peer.LocalAddr().Port())}, []byte("x")))
	conntest.Expect(t, peer, "x")
}

// filled returns a payload that tells when a byte of it was overwritten.
func filled(number, size int) []byte {
	return bytes.Repeat([]byte{byte(number)}, size)
}

func intact(d datagram.Datagram, number int) bool {
	return bytes.Equal(d.Payload, filled(number, len(d.Payload)))
}

// trip sends datagrams of these sizes together and receives them, so that they share memory:
// coalesced by the system when they are of one size, copied together when they are small.
func trip(t *testing.T, from, to *datagram.Conn, first int, sizes []int) []datagram.Datagram {
	t.Helper()
	for i, size := range sizes {
		if err := from.TryQueue(datagram.To(to.LocalAddr(), filled(first+i, size))); err != nil {
			t.Fatal(err)
		}
	}
	var received []datagram.Datagram
	for i, size := range sizes {
		d := await.Value(t, "a datagram", to.Recv())
		if len(d.Payload) != size || cap(d.Payload) != size || !intact(d, first+i) {
			t.Fatalf("datagram %d: %d bytes of %d, capacity %d, % x…", first+i, len(d.Payload), size, cap(d.Payload), d.Payload[:min(8, len(d.Payload))])
		}
		received = append(received, d)
	}
	return received
}

// mixes are sizes that are received in every way there is.
var mixes = [][]int{
	{10, 10, 10, 10, 10, 10, 10, 10},    // coalesced, and small enough to be copied
	{1200, 1200, 1200, 1200, 1200, 700}, // coalesced
	{9000, 9000, 9000, 9000, 9000, 9000},
	{1, 20, 300, 4000, 0, 50_000, 60, 7}, // one by one
	{0, 0, 0},
	{65_507, 65_507},
}

func TestPayloadIsNotOverwrittenBeforeRelease(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	type kept struct {
		datagram datagram.Datagram
		number   int
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all []kept
	number := 0
	for range 150 {
		sizes := mixes[random.IntN(len(mixes))]
		for i, d := range trip(t, from, to, number, sizes) {
			all = append(all, kept{d, number + i})
		}
		number += len(sizes)
		// Some are released soon, some late, some never, and some more than once.
		for range len(all) / 2 {
			i := random.IntN(len(all))
			k := all[i]
			if !intact(k.datagram, k.number) {
				t.Fatalf("datagram %d was overwritten", k.number)
			}
			switch random.IntN(3) {
			case 0:
				again := k.datagram
				k.datagram.Release()
				again.Release()
				k.datagram.Release()
				all[i] = all[len(all)-1]
				all = all[:len(all)-1]
			case 1:
				k.datagram.Clone().Release() // gives back nothing
			}
		}
	}
	for _, k := range all {
		if !intact(k.datagram, k.number) {
			t.Fatalf("datagram %d was overwritten", k.number)
		}
	}
}

// Under the race detector, programs that use released memory fail early.
func TestReleasePoisons(t *testing.T) {
	if !testenv.RaceEnabled {
		t.Skip("only under the race detector")
	}
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	d := trip(t, from, to, 1, []int{100})[0]
	kept, replaced := d.Payload, d
	replaced.Payload = []byte("own")
	d.Payload = d.Payload[50:]
	d.Release()
	replaced.Release()
	if kept[50] != buffer.Poison || kept[99] != buffer.Poison {
		t.Errorf("after Release: % x", kept)
	}
	if string(replaced.Payload) != "own" {
		t.Errorf("the program's own memory: %q", replaced.Payload)
	}
}

// A Release that comes late, when the memory has been lent again, ends nothing.
func TestReleaseAfterTheMemoryServesOthers(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	reused := 0
	var stale []datagram.Datagram
	for round := range 200 {
		ds := trip(t, from, to, round, []int{9000})
		d := ds[0]
		for _, old := range stale {
			if &old.Payload[0] == &d.Payload[0] {
				reused++
			}
			old.Release()
		}
		// If a late Release had freed the memory of d, this would be received into it.
		for _, other := range trip(t, from, to, round+1, []int{9000, 9000, 9000}) {
			if &other.Payload[0] == &d.Payload[0] {
				t.Fatal("memory was lent to two at once")
			}
			stale = append(stale, other)
			other.Release()
		}
		if !intact(d, round) {
			t.Fatalf("datagram of round %d was overwritten", round)
		}
		d.Release()
		stale = append(stale, d)
	}
	if reused == 0 && !testenv.RaceEnabled { // the race detector makes pools forget at random
		t.Error("no memory was ever used again: the test shows nothing")
	}
}

func TestReleaseFromManyGoroutines(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	for round := range 50 {
		ds := trip(t, from, to, round, mixes[round%2])
		kept := ds[0]
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for _, d := range ds[1:] {
					d.Release()
				}
			})
		}
		for _, d := range trip(t, from, to, round+50, mixes[round%2]) {
			d.Release()
		}
		group.Wait()
		if !intact(kept, round) {
			t.Fatalf("the datagram of round %d was overwritten", round)
		}
	}
}

func TestCloneIsValidForEver(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	var clones []datagram.Datagram
	for round := range 50 {
		for _, d := range trip(t, from, to, round, []int{1200}) {
			clone := d.Clone()
			d.Release()
			clone.Release()
			if clone.Addr != from.LocalAddr() {
				t.Fatalf("the sender of a clone is %v", clone.Addr)
			}
			clones = append(clones, clone)
		}
	}
	for round, clone := range clones {
		if !intact(clone, round) {
			t.Fatalf("clone %d was overwritten", round)
		}
	}
}

// Appending to a payload must not write into the next datagram.
func TestPayloadsDoNotReachIntoOneAnother(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	for _, sizes := range mixes {
		ds := trip(t, from, to, 1, sizes)
		for _, d := range ds {
			_ = append(d.Payload, filled(255, 100)...)
		}
		for i, d := range ds {
			if !intact(d, 1+i) {
				t.Fatalf("%v: datagram %d was overwritten", sizes, i)
			}
		}
	}
}

func TestReleaseOfWhatWasNotReceived(t *testing.T) {
	(datagram.Datagram{}).Release()
	d := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), []byte("x"))
	d.Release()
	if string(d.Payload) != "x" {
		t.Error("the payload is gone")
	}
}

// After Close what was received stays valid, and may be released.
func TestPayloadAfterClose(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	ds := trip(t, from, to, 1, mixes[0])
	to.Close()
	await.Closed(t, "Done", to.Done())
	other := conntest.Loopback(t)
	for i, d := range ds {
		if !intact(d, 1+i) {
			t.Fatal(fmt.Sprint("datagram ", i, " was overwritten"))
		}
		d.Release()
	}
	trip(t, from, other, 1, mixes[0])
}

func TestDatagramString(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:53")
	local := netip.MustParseAddr("198.51.100.1")
	for _, test := range []struct {
		d    datagram.Datagram
		want string
	}{
		{datagram.Datagram{}, "no address, 0 bytes"},
		{datagram.To(addr, []byte("s")), "192.0.2.1:53, 1 byte"},
		{datagram.To(netip.MustParseAddrPort("[fe80::1%eth0]:53"), []byte("secret")), "[fe80::1%eth0]:53, 6 bytes"},
		{
			datagram.Datagram{Addr: addr, Payload: []byte("secret"), Partial: true, Meta: datagram.Metadata{Local: local}},
			"192.0.2.1:53, local 198.51.100.1, 6 bytes, partial",
		},
		{datagram.ToNet(&net.UnixAddr{Name: "/run/log", Net: "unixgram"}, []byte("secret")), "/run/log, 6 bytes"},
	} {
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if got := fmt.Sprintf(verb, test.d); got != test.want {
				t.Errorf("%s: %q, want %q", verb, got, test.want)
			}
		}
		if got := fmt.Sprint([]datagram.Datagram{test.d}); got != "["+test.want+"]" {
			t.Errorf("in a slice it is %q", got)
		}
	}
	c := conntest.Loopback(t)
	conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("secret")))
	d := conntest.Expect(t, c, "secret")
	if got, want := d.String(), c.LocalAddr().String()+", 6 bytes"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
