package datagram_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"example.com/datagram"
)

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
		d := await(t, "a datagram", to.Recv())
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
	from, to := loopback(t), loopback(t)
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

// A Release that comes late, when the memory has been lent again, ends nothing.
func TestReleaseAfterTheMemoryServesOthers(t *testing.T) {
	from, to := loopback(t), loopback(t)
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
	if reused == 0 && !raceEnabled { // the race detector makes pools forget at random
		t.Error("no memory was ever used again: the test shows nothing")
	}
}

func TestReleaseFromManyGoroutines(t *testing.T) {
	from, to := loopback(t), loopback(t)
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
	from, to := loopback(t), loopback(t)
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
	from, to := loopback(t), loopback(t)
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
	from, to := loopback(t), loopback(t)
	ds := trip(t, from, to, 1, mixes[0])
	to.Close()
	await(t, "Done", to.Done())
	other := loopback(t)
	for i, d := range ds {
		if !intact(d, 1+i) {
			t.Fatal(fmt.Sprint("datagram ", i, " was overwritten"))
		}
		d.Release()
	}
	trip(t, from, other, 1, mixes[0])
}
