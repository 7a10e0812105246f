package socket

import (
	"errors"
	"net/netip"
	"syscall"
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

// largest returns limits with batches and a largest datagram of size bytes.
func largest(size int) Limits { return Limits{Receive: size, Batch: true} }

// A UDP socket takes no more memory than the largest datagram of UDP needs, whatever the limit.
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

// The larger datagrams can be, the fewer are received at a time.
func TestOfferedMemoryIsBounded(t *testing.T) {
	for _, size := range []int{1, buffer.Size, buffer.Size + 1, 1 << 20, 1 << 30} {
		s := &linuxSocket{kernelSocket: &kernelSocket{limits: largest(size)}}
		s.receiving.init(s)
		r := &s.receiving
		for range 10 {
			r.n = r.want
			r.adapt(r.n, 0)
		}
		if n := max(maxOffered, size) / size; r.want > n || 2*r.want <= min(n, maxSlots) {
			t.Errorf("%d slots of %d bytes", r.want, size)
		}
	}
}

// A socket with large datagrams learns to offer fewer slots.
func TestReceivedBytesAreBounded(t *testing.T) {
	s := &linuxSocket{kernelSocket: &kernelSocket{limits: largest(buffer.Size)}}
	s.receiving.init(s)
	r := &s.receiving
	for _, size := range []int{100, buffer.Size, buffer.Size / 2, 100, buffer.Size} {
		for range 10 {
			r.n = r.want
			r.adapt(r.n, r.n*size)
		}
		if n := min(maxBytes/size, maxSlots); r.want > n || 2*r.want <= n {
			t.Errorf("%d slots for datagrams of %d bytes, want up to %d", r.want, size, n)
		}
	}
}

// chunks counts the chunks that slots hold.
func (s *slots) chunks() (n int) {
	for i := range s.messages {
		if s.messages[i].Chunk != nil {
			n++
		}
	}
	return n
}

// When a busy socket becomes quiet it keeps, and leaves to others, no more memory than it needs.
func TestMemoryAfterBurst(t *testing.T) {
	socket, addr := listenHere(t, Config{Limits: largest(buffer.Size)})
	s := socket.(*linuxSocket)
	send := func() {
		if _, err := s.Send([]Outgoing{{Addr: addr, Payload: []byte("x")}}, true); err != nil {
			t.Error(err)
		}
	}
	var b Batch
	defer b.Free()
	receive := func() int {
		if err := s.Receive(&b); err != nil {
			t.Fatal(err)
		}
		if n := b.memory.(*slots).chunks(); n > max(s.receiving.want, len(b.Messages)) {
			t.Errorf("%d chunks with %d messages when %d are wanted", n, len(b.Messages), s.receiving.want)
		}
		return len(b.Messages)
	}
	for s.receiving.want < maxSlots {
		for range maxSlots {
			send()
		}
		for received := 0; received < maxSlots; received += receive() {
		}
	}
	for s.receiving.want > 1 { // it halves each time that the socket has waited
		go send()
		receive()
	}
	if n := b.memory.(*slots).chunks(); n != 1 {
		t.Errorf("%d chunks are left", n)
	}
	// Of large datagrams only the chunks of those that came are kept. A busy system may deliver some later.
	for received := 0; received < 3; received = receive() {
		s.receiving.want = maxSlots
		for range 3 {
			if _, err := s.Send([]Outgoing{{Addr: addr, Payload: make([]byte, 60_000)}}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b.memory.(*slots).chunks() != len(b.Messages) {
		t.Errorf("%d chunks with %d large messages", b.memory.(*slots).chunks(), len(b.Messages))
	}
	// After an error no memory is kept.
	_, gone := listenHere(t, Config{})
	gone = netip.AddrPortFrom(gone.Addr().Next(), gone.Port())
	if err := s.Connect(gone); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send([]Outgoing{{Payload: []byte("x")}}, true); err != nil {
		t.Fatal(err)
	}
	err := s.Receive(&b)
	for err == nil { // what came late
		err = s.Receive(&b)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) || b.memory != nil {
		t.Errorf("%v, with memory: %v", err, b.memory != nil)
	}
}

// Pooled memory holds neither what was received nor a chunk of unusual size.
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

// One batch may serve sockets with different limits.
func TestSlotsOfOtherSize(t *testing.T) {
	s, b := new(slots), Batch{memory: new(single)}
	for _, size := range []int{1, buffer.Size} {
		s.offer(1, size)
		if n := len(s.messages[0].Chunk.Bytes); n < size {
			t.Errorf("%d bytes for %d", n, size)
		}
		if n := len(offerSingle(&b, size).messages[0].Chunk.Bytes); n < size {
			t.Errorf("alone: %d bytes for %d", n, size)
		}
	}
}

// A transfer in the pool refers to nothing that was sent.
func TestFreedTransfer(t *testing.T) {
	s, addr := listenHere(t, Config{Limits: largest(buffer.Size)})
	x := transfers.Get().(*transfer)
	x.socket, x.ds = s.(*linuxSocket), make([]Outgoing, 3)
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
