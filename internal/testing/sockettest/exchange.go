package sockettest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
)

// loopback lists the families with their loopback addresses.
var loopback = []struct{ network, address string }{
	{"udp4", "127.0.0.1:0"},
	{"udp6", "[::1]:0"},
}

func testExchange(s *suite) {
	for _, l := range loopback {
		a, b := s.listen(l.network, l.address), s.listen(l.network, l.address)
		a.send(to(b.addr(), []byte("question"))...)
		got := b.expect([]byte("question"))
		if got[0].Addr != a.addr() {
			s.Errorf("from %v, want %v", got[0].Addr, a.addr())
		}
		b.send(to(got[0].Addr, []byte("answer"))...)
		a.expect([]byte("answer"))
	}
}

func testOrder(s *suite) {
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	for round := range 10 {
		var payloads [][]byte
		for i := range 100 {
			payloads = append(payloads, binary.BigEndian.AppendUint32(nil, uint32(round<<16|i)))
		}
		a.send(to(b.addr(), payloads...)...)
		b.expect(payloads...)
	}
}

// Empty datagrams are datagrams, not the end of a stream or an empty slot.
func testEmpty(s *suite) {
	for _, l := range loopback {
		a, b := s.listen(l.network, l.address), s.listen(l.network, l.address)
		payloads := [][]byte{{}, []byte("one"), {}, nil, []byte("two"), []byte("three"), {}}
		a.send(to(b.addr(), payloads...)...)
		for _, d := range b.expect(payloads...) {
			if d.Addr != a.addr() {
				s.Errorf("from %v, want %v", d.Addr, a.addr())
			}
		}
	}
}

func testSizes(s *suite) {
	for i, l := range loopback {
		largest := []int{batch.MaxPayload4, batch.MaxPayload6}[i]
		a, b := s.listen(l.network, l.address), s.listen(l.network, l.address)
		for _, size := range []int{0, 1, 1472, 1473, 9000, largest - 1, largest} {
			payload := pattern(size, size)
			a.send(to(b.addr(), payload)...)
			b.expect(payload)
		}
		if n, err := a.Send(to(b.addr(), make([]byte, largest+1)), true); n != 0 || !errors.Is(err, messageSize) {
			s.Errorf("%s: sending %d bytes: %d, %v; want %v", l.network, largest+1, n, err, messageSize)
		}
	}
}

func testDualStack(s *suite) {
	server := s.listen("udp", ":0")
	if family := server.Info().Family; family != socket.Dual {
		s.Fatalf("family %v, want dual", family)
	}
	for _, l := range loopback {
		client := s.listen(l.network, l.address)
		client.send(to(server.port(client.addr().Addr().String()), []byte("question"))...)
		got := server.expect([]byte("question"))
		if got[0].Addr != client.addr() {
			s.Errorf("from %v, want %v", got[0].Addr, client.addr())
		}
		server.send(to(got[0].Addr, []byte("answer"))...)
		client.expect([]byte("answer"))
	}
}

func testTruncated(s *suite) {
	config := s.Config
	config.Receive, config.Coalesce = 10, false
	a, b := s.listen("udp4", "127.0.0.1:0"), s.open("udp4", "127.0.0.1:0", config)
	for _, size := range []int{0, 9, 10, 11, 1000, 10} {
		payload := pattern(size, size)
		a.send(to(b.addr(), payload)...)
		d := b.receive(1)[0]
		if want := payload[:min(size, 10)]; !bytes.Equal(d.Payload, want) || d.Truncated != (size > 10) {
			s.Errorf("of %d bytes got %q, truncated: %v", size, d.Payload, d.Truncated)
		}
	}
}

// testSegments sends payloads that are adjacent in memory, in all shapes that segmentation offload may or may
// not combine in one message.
func testSegments(s *suite) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, l := range loopback {
		a, b := s.listen(l.network, l.address), s.listen(l.network, l.address)
		for range 100 {
			memory := pattern(64<<10, random.Int())
			var payloads [][]byte
			size := 1 + random.IntN(1200)
			for used := 0; len(payloads) < 90; {
				n := size
				switch random.IntN(20) {
				case 0:
					n = random.IntN(size + 1) // a shorter one ends a run
				case 1:
					n, size = 1+random.IntN(1200), 1+random.IntN(1200)
				}
				if used += n; used > len(memory) {
					break
				}
				payloads = append(payloads, memory[used-n:used])
			}
			a.send(to(b.addr(), payloads...)...)
			b.expect(payloads...)
		}
	}
}

func testAlternating(s *suite) {
	a := s.listen("udp4", "127.0.0.1:0")
	receivers := make([]*endpoint, 5)
	payloads := make([][][]byte, len(receivers))
	for i := range receivers {
		receivers[i] = s.listen("udp4", "127.0.0.1:0")
	}
	var ds []socket.Outgoing
	random := rand.New(rand.NewPCG(3, 4))
	for number := range 300 {
		i, payload := random.IntN(len(receivers)), fmt.Appendf(nil, "datagram %d", number)
		payloads[i] = append(payloads[i], payload)
		ds = append(ds, to(receivers[i].addr(), payload)...)
	}
	a.send(ds...)
	for i, r := range receivers {
		r.expect(payloads[i]...)
	}
}

// One bad datagram fails alone, whatever its place.
func testBadDatagram(s *suite) {
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	bad := map[string]socket.Outgoing{
		"too large":    to(b.addr(), make([]byte, batch.MaxPayload4+1))[0],
		"wrong family": to(netip.MustParseAddrPort("[::1]:9"), []byte("bad"))[0],
	}
	for name, bad := range bad {
		for _, position := range []int{0, 1, 5, 9} {
			var payloads [][]byte
			for i := range 9 {
				payloads = append(payloads, pattern(20, i))
			}
			ds := slices.Insert(to(b.addr(), payloads...), position, bad)
			failed, err := a.try(ds)
			if failed != position || err == nil {
				s.Fatalf("%s: datagram %d failed with %v, want %d to", name, failed, err, position)
			}
			a.send(ds[position+1:]...)
			b.expect(payloads...)
		}
	}
}

func testNoDestination(s *suite) {
	a := s.listen("udp4", "127.0.0.1:0")
	if n, err := a.Send([]socket.Outgoing{{Payload: []byte("where")}}, true); n != 0 || !errors.Is(err, syscall.EDESTADDRREQ) {
		s.Errorf("%d, %v; want %v", n, err, syscall.EDESTADDRREQ)
	}
	if n, err := a.Send(nil, true); n != 0 || err != nil {
		s.Errorf("sending nothing: %d, %v", n, err)
	}
}

// testConcurrent sends from many goroutines while it calls everything else, and loses nothing.
func testConcurrent(s *suite) {
	const senders, each = 8, 25
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	for range 10 {
		var wg sync.WaitGroup
		for sender := range senders {
			wg.Go(func() {
				for i := range each {
					if _, err := a.Send(to(b.addr(), []byte{byte(sender), byte(i)}), i%2 == 0); err != nil {
						s.Error(err)
					}
					_, _ = a.Option(socket.TTL)
					_, _ = b.Drops()
				}
			})
		}
		next := make([]int, senders)
		for _, d := range b.receive(senders * each) {
			sender, i := d.Payload[0], int(d.Payload[1])
			if i != next[sender] {
				s.Errorf("datagram %d of sender %d, want %d", i, sender, next[sender])
			}
			next[sender] = i + 1
		}
		wg.Wait()
	}
}
