package sendqueue

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"testing"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

var destinations = []netip.AddrPort{
	netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), netip.MustParseAddrPort("[2001:db8::3]:3"),
}

// add appends a datagram with its number as the payload, to one of the destinations in turn.
func add(l *blockList, number int, done func(error)) {
	text := fmt.Sprint(number)
	out := socket.Outgoing{Addr: destinations[number%len(destinations)]}
	copy(l.append(&out, nil, len(text), tail{size: len(text), done: done}), text)
}

// expect checks that a block holds the datagrams with these numbers, with their tails.
func expect(t *testing.T, b *block, numbers ...int) {
	t.Helper()
	if len(b.datagrams) != len(numbers) || len(b.tails) != len(numbers) {
		t.Fatalf("%d datagrams, %d tails, want %d", len(b.datagrams), len(b.tails), len(numbers))
	}
	for i, number := range numbers {
		d := &b.datagrams[i]
		if want := fmt.Sprint(number); string(d.Payload) != want || b.tails[i].size != len(want) || d.Addr != destinations[number%3] {
			t.Fatalf("datagram %d is %q to %v, size %d, want %s", i, d.Payload, d.Addr, b.tails[i].size, want)
		}
	}
}

func TestListIsFirstInFirstOut(t *testing.T) {
	var l blockList
	if !l.empty() || l.take() != nil {
		t.Fatal("the zero list is not empty")
	}
	const n = 2*blockDatagrams + 10
	for i := range n {
		add(&l, i, nil)
	}
	next := 0
	for b := l.take(); b != nil; b = l.take() {
		var numbers []int
		for range b.datagrams {
			numbers = append(numbers, next)
			next++
		}
		expect(t, b, numbers...)
		b.free()
	}
	if next != n || !l.empty() {
		t.Errorf("took %d of %d", next, n)
	}
}

// A block that could not be sent returns to its place, and later datagrams follow it.
func TestPutFront(t *testing.T) {
	var l blockList
	add(&l, 0, nil)
	b := l.take()
	add(&l, 1, nil)
	l.putFront(b)
	add(&l, 2, nil)
	expect(t, l.take(), 0)
	expect(t, l.take(), 1, 2)

	l.putFront(b) // into an empty list
	add(&l, 3, nil)
	if got := l.take(); got != b {
		t.Error("another block")
	}
	if l.take() != nil && !l.empty() {
		t.Error("more than was put")
	}
}

// Payloads are adjacent, so that neighbours can leave as one piece of memory.
func TestPayloadsLieBehindOneAnother(t *testing.T) {
	var l blockList
	for range 3 {
		l.append(&socket.Outgoing{}, nil, 100, tail{})
	}
	b := l.take()
	for i, d := range b.datagrams {
		if len(d.Payload) != 100 || cap(d.Payload) != 100 || &d.Payload[0] != &b.chunks[0].Bytes[i*100] {
			t.Errorf("payload %d lies elsewhere, or has a capacity of %d", i, cap(d.Payload))
		}
	}
}

// A payload that does not fit into the rest of a chunk starts another block.
func TestLargePayloads(t *testing.T) {
	var l blockList
	sizes := []int{buffer.Size, 1, buffer.Size - 1, 1, buffer.Size + 1, 0}
	for _, size := range sizes {
		if got := len(l.append(&socket.Outgoing{}, nil, size, tail{size: size})); got != size {
			t.Fatalf("%d bytes for a payload of %d", got, size)
		}
	}
	i := 0
	for b := l.take(); b != nil; b = l.take() {
		for j := range b.datagrams {
			if len(b.datagrams[j].Payload) != sizes[i] || b.tails[j].size != sizes[i] {
				t.Errorf("datagram %d has %d bytes, want %d", i, len(b.datagrams[j].Payload), sizes[i])
			}
			i++
		}
	}
	if i != len(sizes) {
		t.Errorf("%d datagrams, want %d", i, len(sizes))
	}
}

// A block holds more datagrams if there are several destinations.
func TestBlockIsFull(t *testing.T) {
	for limit, destinations := range map[int][]netip.AddrPort{blockDatagrams: destinations[:1], mixedDatagrams: destinations} {
		var l blockList
		for i := range limit + 1 {
			l.append(&socket.Outgoing{Addr: destinations[i%len(destinations)]}, nil, 0, tail{})
		}
		if got := len(l.take().datagrams); got != limit || len(l.take().datagrams) != 1 {
			t.Errorf("%d destinations: %d datagrams in a block, want %d", len(destinations), got, limit)
		}
	}
}

// Each datagram has a copy of the control it came with, which it shares with equal neighbours only.
func TestControls(t *testing.T) {
	var l blockList
	control := new(socket.Control)
	limits := []int{1, 1, 2, 1}
	for _, control.HopLimit = range limits {
		l.append(&socket.Outgoing{}, control, 0, tail{})
	}
	ds := l.take().datagrams
	for i, limit := range limits {
		if ds[i].Control.HopLimit != limit {
			t.Errorf("hop limit %d, want %d", ds[i].Control.HopLimit, limit)
		}
	}
	if ds[0].Control != ds[1].Control {
		t.Error("neighbours do not share what they have in common")
	}
}

// ready makes a whole block ready, as the drainer does.
func ready(b *block) *block {
	b.ready = len(b.datagrams)
	return b
}

// answer answers the next datagram.
func answer(b *block, err error) (*socket.Outgoing, *tail) {
	d, t := &b.datagrams[b.answered], &b.tails[b.accepted(b.answered)]
	b.answer(1, err)
	return d, t
}

// settled is a settled datagram with its tail.
type settled struct {
	d *socket.Outgoing
	*tail
}

func settle(b *block) (all []settled) {
	from, to := b.settle()
	for i := from; i < to; i++ {
		all = append(all, settled{b.datagram(i), &b.tails[i]})
	}
	return all
}

// number returns the number that add gave a datagram.
func number(t *testing.T, d *socket.Outgoing) int {
	t.Helper()
	n, err := strconv.Atoi(string(d.Payload))
	if err != nil || d.Addr != destinations[n%len(destinations)] {
		t.Fatalf("%q to %v", d.Payload, d.Addr)
	}
	return n
}

// Grouped datagrams keep the order of each destination, and settle with their own answers in the order of
// acceptance.
func TestGroup(t *testing.T) {
	const n = 100
	var l blockList
	for i := range n {
		add(&l, i, nil)
	}
	b := ready(l.take())
	b.group()
	changes := 0
	last := map[netip.AddrPort]int{}
	for i := range b.datagrams {
		d := &b.datagrams[i]
		if i > 0 && d.Addr != b.datagrams[i-1].Addr {
			changes++
		}
		if before, ok := last[d.Addr]; ok && before >= number(t, d) {
			t.Fatalf("to %v %q follows %d", d.Addr, d.Payload, before)
		}
		last[d.Addr] = number(t, d)
	}
	if changes != len(destinations)-1 {
		t.Errorf("the destination changes %d times, want %d", changes, len(destinations)-1)
	}
	for i := range n {
		d, tail := answer(b, fmt.Errorf("%d", number(t, &b.datagrams[i])))
		if tail.size != len(d.Payload) {
			t.Fatal("a tail was separated from its datagram")
		}
	}
	all := settle(b)
	for i, s := range all {
		if number(t, s.d) != i || s.err.Error() != strconv.Itoa(i) {
			t.Fatalf("place %d: %q, %v", i, s.d.Payload, s.err)
		}
	}
	if len(all) != n || !b.done() || len(settle(b)) != 0 {
		t.Errorf("%d settle; done: %v", len(all), b.done())
	}
	b.free()
}

// Datagrams appended to a block that is partly answered or reordered settle last.
func TestAppendToPartOfABlock(t *testing.T) {
	var l blockList
	for i := range 6 {
		add(&l, i, nil)
	}
	b := ready(l.take())
	b.group() // 0 3 1 4 2 5
	b.answer(2, nil)
	l.putFront(b)
	add(&l, 6, nil)
	add(&l, 7, nil)
	ready(l.take()).group() // 1 4 7 2 5 6
	for _, want := range []int{1, 4, 7, 2, 5, 6} {
		if d, _ := answer(b, nil); number(t, d) != want {
			t.Errorf("%q is sent where %d was to be", d.Payload, want)
		}
	}
	for i, s := range settle(b) {
		if number(t, s.d) != i {
			t.Errorf("%q settles after %d", s.d.Payload, i)
		}
	}
	if b.settled != 8 {
		t.Errorf("%d settle", b.settled)
	}
}

// A datagram settles only when all earlier ones are answered.
func TestSettle(t *testing.T) {
	var l blockList
	for i := range 4 {
		add(&l, i, nil)
	}
	b := ready(l.take())
	b.group() // 0 3 1 2
	for i, want := range []int{1, 0, 1, 2} {
		b.answer(1, nil)
		if got := len(settle(b)); got != want {
			t.Errorf("after %d answers %d settle, want %d", i+1, got, want)
		}
	}
}

// Waiting datagrams come after the ready ones, and neither change their order.
func TestPostpone(t *testing.T) {
	var l blockList
	for i := range 9 {
		add(&l, i, nil)
	}
	b := ready(l.take())
	b.answer(1, nil)
	b.postpone(func(d *socket.Outgoing) bool { return d.Addr == destinations[1] })
	if b.ready != 6 {
		t.Errorf("the first %d are ready, want 6", b.ready)
	}
	b.group() // leaves the rest alone
	for _, want := range []int{2, 5, 8, 3, 6, 1, 4, 7} {
		if d, _ := answer(b, nil); number(t, d) != want {
			t.Errorf("%q is sent where %d was to be", d.Payload, want)
		}
	}
}

// A freed block keeps nothing alive.
func TestFreeForgets(t *testing.T) {
	var l blockList
	for i := range 10 {
		add(&l, i, func(error) {})
	}
	b := ready(l.take())
	b.group()
	b.answer(1, errors.New("an error"))
	b.settle()
	b.free()
	for i := range b.tails[:10] {
		if tail := &b.tails[:10][i]; tail.done != nil || tail.err != nil || b.datagrams[:10][i].Payload != nil {
			t.Fatalf("datagram %d is remembered", i)
		}
	}
	if b.reordered() || len(b.places) != 0 || b.awaited || b.answered != 0 || b.ready != 0 || b.settled != 0 || b.mixed || len(b.chunks) != 0 || b.used != 0 {
		t.Errorf("%+v is remembered", b)
	}
}

// A block to several destinations takes more memory and more datagrams than one to a single destination.
func TestMixedBlock(t *testing.T) {
	var l blockList
	const size = 1000
	for i := range mixedDatagrams {
		payload := l.append(&socket.Outgoing{Addr: destinations[i%2]}, nil, size, tail{size: size})
		for j := range payload {
			payload[j] = byte(i)
		}
	}
	b := l.take()
	if len(b.datagrams) <= blockDatagrams || len(b.chunks) < 2 || len(b.chunks) > maxChunks {
		t.Fatalf("%d datagrams in %d chunks", len(b.datagrams), len(b.chunks))
	}
	for i := 0; b != nil; b = l.take() {
		for _, d := range b.datagrams {
			for _, got := range d.Payload {
				if got != byte(i) {
					t.Fatalf("datagram %d holds %d, want %d", i, got, byte(i))
				}
			}
			i++
		}
		b.free()
	}
}

// A merged block holds the datagrams of both, and their memory.
func TestMerge(t *testing.T) {
	var l blockList
	control := &socket.Control{HopLimit: 7}
	add := func(to, number int) {
		text := strconv.Itoa(number)
		out := socket.Outgoing{Addr: destinations[to]}
		copy(l.append(&out, control, len(text), tail{size: len(text)}), text)
	}
	for i := range blockDatagrams + 3 {
		add(0, i)
	}
	add(1, 1000)
	b := l.take()
	ready(b)
	b.answer(2, nil)
	l.putFront(b)
	if !l.merge() || l.merge() {
		t.Fatal("not merged, or more than once")
	}
	blocks.Get().(*block).control(&socket.Control{HopLimit: 9}) // may be the freed one
	add(1, 1001)
	b = ready(l.take())
	if !b.mixed || len(b.datagrams) != blockDatagrams+5 || !l.empty() {
		t.Fatalf("%d datagrams", len(b.datagrams))
	}
	b.answer(len(b.datagrams)-b.answered, nil)
	for i, s := range settle(b) {
		want := i
		if i >= blockDatagrams+3 {
			want += 1000 - (blockDatagrams + 3)
		}
		if string(s.d.Payload) != strconv.Itoa(want) || s.size != len(s.d.Payload) || s.d.Control.HopLimit != 7 {
			t.Fatalf("place %d: %q, %v", i, s.d.Payload, s.d.Control)
		}
	}
	if b.settled != blockDatagrams+5 {
		t.Errorf("%d settle", b.settled)
	}
	b.free()

	// Blocks are not merged beyond the limits of a block.
	for i := range mixedDatagrams + 1 {
		add(i%2, i)
	}
	if l.merge() {
		t.Error("too many datagrams in a block")
	}
	l = blockList{}
	if add(0, 1); l.merge() {
		t.Error("one block was merged")
	}
}
