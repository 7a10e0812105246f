package socket

import (
	"net/netip"
	"testing"

	"example.com/datagram/internal/buffer"
)

func listenHere(t *testing.T, config Config) (Socket, netip.AddrPort) {
	t.Helper()
	s, err := Kernel{}.Listen(t.Context(), "udp4", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.Info().Local
}

// largest returns limits with a largest datagram of so many bytes.
func largest(size int) Limits { return Limits{Receive: size, Batch: true} }

// What a program allows for is no reason to take more memory than a datagram of UDP can need.
func TestMemoryOfUDP(t *testing.T) {
	for _, portable := range []bool{false, true} {
		s, addr := listenHere(t, Config{Portable: portable, Limits: largest(1 << 30)})
		var b Batch
		defer b.Free()
		if _, err := s.Send([]Outgoing{{Addr: addr, Payload: []byte("x")}}, true); err != nil {
			t.Fatal(err)
		}
		if err := s.Receive(&b); err != nil {
			t.Fatal(err)
		}
		if n := len(b.Messages[0].Chunk.Bytes); n != buffer.Size {
			t.Errorf("portable %v: received into %d bytes, want %d", portable, n, buffer.Size)
		}
	}
}

// The larger the datagrams can be the fewer are received at a time.
func TestOfferedMemoryIsBounded(t *testing.T) {
	for _, size := range []int{1, buffer.Size, buffer.Size + 1, 1 << 20, 1 << 30} {
		s := &system{handle: &handle{limits: largest(size)}}
		s.receiving.init(s)
		r := &s.receiving
		for range 10 {
			r.n = r.want
			r.adapt(r.n)
		}
		if n := max(maxOffered, size) / size; r.want > n || 2*r.want <= min(n, maxSlots) {
			t.Errorf("%d slots of %d bytes", r.want, size)
		}
	}
}

// Memory for later receives holds neither what was received nor a chunk of unusual size.
func TestFreedSlots(t *testing.T) {
	const n = 5
	for _, size := range []int{buffer.Size, buffer.Size + 1} {
		s := new(slots)
		s.offer(n, size)
		s.offer(1, size)
		for i := range n {
			m := &s.messages[i]
			*m = Incoming{Chunk: m.Chunk, Payload: m.Chunk.Bytes[:1], Lent: m.Chunk, Name: new(Name)}
		}
		s.messages[0].Chunk = nil // it was taken
		s.free()
		for i := range n {
			m := &s.messages[i]
			if m.Payload != nil || m.Lent != nil || m.Name != nil || s.vectors[i].Base != nil {
				t.Errorf("%d bytes, slot %d holds what was received", size, i)
			}
			if kept := m.Chunk != nil; kept != (i > 0 && size == buffer.Size) {
				t.Errorf("%d bytes, slot %d has a chunk: %v", size, i, kept)
			}
		}
	}
	s := new(single)
	s.messages[0] = Incoming{Chunk: buffer.Get(1), Lent: buffer.Get(1), Payload: make([]byte, 1)}
	s.free()
	if m := &s.messages[0]; m.Chunk == nil || m.Lent != nil || m.Payload != nil {
		t.Errorf("%+v", m)
	}
	s.trim()
	if s.messages[0].Chunk != nil {
		t.Error("trimming left a chunk")
	}
	s.messages[0].Chunk = buffer.Get(buffer.Size + 1)
	s.free()
	if s.messages[0].Chunk != nil {
		t.Error("a chunk of unusual size is kept")
	}
}

// A transfer refers to what it sends as long as that lasts.
func TestFreedTransfer(t *testing.T) {
	s, addr := listenHere(t, Config{Limits: largest(buffer.Size)})
	x := transfers.Get().(*transfer)
	x.socket, x.ds = s.(*system), make([]Outgoing, 3)
	for i := range x.ds {
		x.ds[i] = Outgoing{Addr: addr, Payload: make([]byte, i+1)}
	}
	if err := x.prepare(); err != nil || x.used != 3 {
		t.Fatalf("%d pieces, %v", x.used, err)
	}
	x.ds = x.ds[:1]
	if err := x.prepare(); err != nil || x.vectors[1].Base != nil || x.vectors[2].Base != nil {
		t.Errorf("%v, %v", x.vectors[:3], err)
	}
	x.free()
	if x.vectors[0].Base != nil || x.ds != nil || x.socket != nil {
		t.Errorf("%v", x.vectors[0])
	}
}
