package queue

import (
	"fmt"
	"net/netip"
	"testing"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

var destinations = []netip.AddrPort{
	netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), netip.MustParseAddrPort("[2001:db8::3]:3"),
}

// add appends a datagram that says its number, to one of the destinations in turn.
func add(l *List, number int, done func(error)) {
	text := fmt.Sprint(number)
	out := socket.Outgoing{Addr: destinations[number%len(destinations)]}
	copy(l.Append(out, nil, len(text), Tail{Size: len(text), Done: done}), text)
}

// expect checks that a block holds datagrams with these numbers, tails and all.
func expect(t *testing.T, b *Block, numbers ...int) {
	t.Helper()
	if len(b.Datagrams) != len(numbers) || len(b.Tails) != len(numbers) {
		t.Fatalf("%d datagrams, %d tails, want %d", len(b.Datagrams), len(b.Tails), len(numbers))
	}
	for i, number := range numbers {
		d := &b.Datagrams[i]
		if want := fmt.Sprint(number); string(d.Payload) != want || b.Tails[i].Size != len(want) || d.Addr != destinations[number%3] {
			t.Fatalf("datagram %d is %q to %v, size %d, want %s", i, d.Payload, d.Addr, b.Tails[i].Size, want)
		}
	}
}

func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

func TestListIsFirstInFirstOut(t *testing.T) {
	var l List
	if !l.Empty() || l.Take() != nil {
		t.Fatal("the zero List is not empty")
	}
	const n = 2*blockDatagrams + 10
	for i := range n {
		add(&l, i, nil)
	}
	next := 0
	for b := l.Take(); b != nil; b = l.Take() {
		var numbers []int
		for range b.Datagrams {
			numbers = append(numbers, next)
			next++
		}
		expect(t, b, numbers...)
		b.Free()
	}
	if next != n || !l.Empty() {
		t.Errorf("took %d of %d", next, n)
	}
}

// A block that could not be sent goes back to where it was, and what is appended follows.
func TestPutFront(t *testing.T) {
	var l List
	add(&l, 0, nil)
	b := l.Take()
	add(&l, 1, nil)
	l.PutFront(b)
	add(&l, 2, nil)
	expect(t, l.Take(), 0)
	expect(t, l.Take(), 1, 2)

	l.PutFront(b) // into an empty list
	add(&l, 3, nil)
	if got := l.Take(); got != b {
		t.Error("another block")
	}
	if l.Take() != nil && !l.Empty() {
		t.Error("more than was put")
	}
}

// Payloads lie behind one another, so that neighbours can leave as one piece of memory.
func TestPayloadsLieBehindOneAnother(t *testing.T) {
	var l List
	for range 3 {
		l.Append(socket.Outgoing{}, nil, 100, Tail{})
	}
	b := l.Take()
	for i, d := range b.Datagrams {
		if len(d.Payload) != 100 || cap(d.Payload) != 100 || &d.Payload[0] != &b.chunks[0].Bytes[i*100] {
			t.Errorf("payload %d lies elsewhere, or has a capacity of %d", i, cap(d.Payload))
		}
	}
}

// Memory that does not suffice for one more payload begins another block.
func TestLargePayloads(t *testing.T) {
	var l List
	sizes := []int{buffer.Size, 1, buffer.Size - 1, 1, buffer.Size + 1, 0}
	for _, size := range sizes {
		if got := len(l.Append(socket.Outgoing{}, nil, size, Tail{Size: size})); got != size {
			t.Fatalf("%d bytes for a payload of %d", got, size)
		}
	}
	i := 0
	for b := l.Take(); b != nil; b = l.Take() {
		for j := range b.Datagrams {
			if len(b.Datagrams[j].Payload) != sizes[i] || b.Tails[j].Size != sizes[i] {
				t.Errorf("datagram %d has %d bytes, want %d", i, len(b.Datagrams[j].Payload), sizes[i])
			}
			i++
		}
	}
	if i != len(sizes) {
		t.Errorf("%d datagrams, want %d", i, len(sizes))
	}
}

// A block holds more datagrams where there are several destinations.
func TestBlockIsFull(t *testing.T) {
	for limit, destinations := range map[int][]netip.AddrPort{blockDatagrams: destinations[:1], mixedDatagrams: destinations} {
		var l List
		for i := range limit + 1 {
			l.Append(socket.Outgoing{Addr: destinations[i%len(destinations)]}, nil, 0, Tail{})
		}
		if got := len(l.Take().Datagrams); got != limit || len(l.Take().Datagrams) != 1 {
			t.Errorf("%d destinations: %d datagrams in a block, want %d", len(destinations), got, limit)
		}
	}
}

// Each datagram has the control it came with, a copy that only neighbours share.
func TestControls(t *testing.T) {
	var l List
	control := new(socket.Control)
	limits := []int{1, 1, 2, 1}
	for _, control.HopLimit = range limits {
		l.Append(socket.Outgoing{}, control, 0, Tail{})
	}
	ds := l.Take().Datagrams
	for i, limit := range limits {
		if ds[i].Control.HopLimit != limit {
			t.Errorf("hop limit %d, want %d", ds[i].Control.HopLimit, limit)
		}
	}
	if ds[0].Control != ds[1].Control {
		t.Error("neighbours do not share what they have in common")
	}
}

func TestGroupAndUngroup(t *testing.T) {
	const n = 100
	var l List
	for i := range n {
		add(&l, i, nil)
	}
	b := l.Take()
	b.Group()
	changes := 0
	last := map[netip.AddrPort]string{}
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		if i > 0 && d.Addr != b.Datagrams[i-1].Addr {
			changes++
		}
		if before := last[d.Addr]; len(before) > len(d.Payload) || len(before) == len(d.Payload) && before >= string(d.Payload) {
			t.Fatalf("to %v %q follows %q", d.Addr, d.Payload, before)
		}
		last[d.Addr] = string(d.Payload)
		if b.Tails[i].Size != len(d.Payload) {
			t.Fatal("a tail was separated from its datagram")
		}
	}
	if changes != len(destinations)-1 {
		t.Errorf("the destination changes %d times, want %d", changes, len(destinations)-1)
	}
	b.Ungroup()
	expect(t, b, upTo(n)...)
	b.Ungroup() // does nothing
	expect(t, b, upTo(n)...)
	b.Free()
}

func TestSplitAnswered(t *testing.T) {
	var l List
	completed := 0
	for i := range 10 {
		add(&l, i, func(error) { completed++ })
	}
	b := l.Take()
	if b.SplitAnswered() != nil {
		t.Error("something is answered")
	}
	b.Answered = 4
	done := b.SplitAnswered()
	expect(t, done, 0, 1, 2, 3)
	expect(t, b, 4, 5, 6, 7, 8, 9)
	if done.Answered != 4 || b.Answered != 0 || !done.Report || !b.Report {
		t.Errorf("answered %d and %d, report %v and %v", done.Answered, b.Answered, done.Report, b.Report)
	}
	for _, tail := range append(done.Tails, b.Tails...) {
		tail.Done(nil)
	}
	if completed != 10 {
		t.Errorf("%d completion functions, want 10", completed)
	}
	// What is sent of the rest still has its memory when the answered part is gone.
	done.Free()
	other := blocks.Get().(*Block)
	copy(other.memory(100), make([]byte, 100))
	expect(t, b, 4, 5, 6, 7, 8, 9)
}

// A freed block keeps nothing alive.
func TestFreeForgets(t *testing.T) {
	var l List
	for i := range 10 {
		add(&l, i, func(error) {})
	}
	b := l.Take()
	b.Answered = 5
	b.SplitAnswered().Free()
	b.Free()
	for i := range b.Tails[:10] {
		if b.Tails[:10][i].Done != nil || b.Datagrams[:10][i].Payload != nil {
			t.Fatalf("datagram %d is remembered", i)
		}
	}
	if b.Report || b.Answered != 0 || len(b.chunks) != 0 || b.used != 0 {
		t.Errorf("%+v is remembered", b)
	}
}

// A block to several destinations takes more memory, and more datagrams, than one to a single.
func TestMixedBlock(t *testing.T) {
	var l List
	const size = 1000
	for i := range mixedDatagrams {
		payload := l.Append(socket.Outgoing{Addr: destinations[i%2]}, nil, size, Tail{Size: size})
		for j := range payload {
			payload[j] = byte(i)
		}
	}
	b := l.Take()
	if len(b.Datagrams) <= blockDatagrams || len(b.chunks) < 2 || len(b.chunks) > maxChunks {
		t.Fatalf("%d datagrams in %d chunks", len(b.Datagrams), len(b.chunks))
	}
	for i := 0; b != nil; b = l.Take() {
		for _, d := range b.Datagrams {
			for _, got := range d.Payload {
				if got != byte(i) {
					t.Fatalf("datagram %d holds %d, want %d", i, got, byte(i))
				}
			}
			i++
		}
		b.Free()
	}
}

// A block says whether somebody waits to hear of any of its datagrams.
func TestReport(t *testing.T) {
	for waits, want := range map[int]bool{-1: false, 0: true, 1: true, 2: true} {
		var l List
		for i := range 3 {
			tail := Tail{}
			if i == waits {
				tail.Done = func(error) {}
			}
			l.Append(socket.Outgoing{}, nil, 1, tail)
		}
		if b := l.Take(); b.Report != want {
			t.Errorf("somebody waits for datagram %d: Report is %v", waits, b.Report)
		}
	}
}
