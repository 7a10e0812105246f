package datagram

import (
	"bytes"
	"testing"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// FuzzIntake cuts received messages into datagrams, whatever the system says about their segments. Each
// message is described by its length, the size of its segments and whether it was truncated.
func FuzzIntake(f *testing.F) {
	f.Add([]byte("x"), 1, 0, 65535, false, uint8(1))
	f.Add([]byte("coalesced"), 3500, 1000, 65535, false, uint8(3))
	f.Add([]byte("cut"), 3500, 1000, 999, true, uint8(2))
	f.Add([]byte("more parts than a chunk can lend"), 65535, 1, 65535, false, uint8(1))
	f.Add([]byte("small"), 600, 7, 3, false, uint8(8))
	f.Add([]byte{}, 0, 5, 1, true, uint8(5))
	f.Add([]byte("broken"), 10, -1, 1, false, uint8(1))
	f.Fuzz(func(t *testing.T, pattern []byte, length, segment, limit int, truncated bool, count uint8) {
		count %= 9
		if len(pattern) == 0 {
			pattern = []byte("0123456789")
		}
		length = min(max(length, 0), buffer.Size)
		limit = max(limit, 1) // WithMaxDatagramSize takes no less
		var in intake
		var want [][]byte
		for i := range int(count) {
			chunk := buffer.Get(buffer.Size)
			payload := chunk.Bytes[:max(length-i, 0)]
			for n := 0; n < len(payload); n += copy(payload[n:], pattern) {
			}
			in.batch.Messages = append(in.batch.Messages, socket.Incoming{
				Payload: payload, Chunk: chunk, Truncated: truncated && i == 0,
				Ancillary: socket.Ancillary{SegmentSize: segment},
			})
			want = append(want, bytes.Clone(payload))
		}
		datagrams, payloads := in.begin(limit)
		in.lend()
		checkParts(t, in.batch.Messages)
		var lent []Datagram
		leases := make(map[buffer.Lease]bool)
		for i, payload := range want {
			for first := true; first || len(payload) > 0; first = false {
				var d Datagram
				if !in.next(&d, limit) {
					t.Fatalf("message %d: no datagram for the last %d bytes", i, len(payload))
				}
				size := len(payload)
				if segment > 0 {
					size = min(size, segment)
				}
				last := size == len(payload)
				if !bytes.Equal(d.Payload, payload[:min(size, limit)]) || cap(d.Payload) != len(d.Payload) {
					t.Fatalf("message %d: %d bytes with a capacity of %d, want the next %d", i, len(d.Payload), cap(d.Payload), min(size, limit))
				}
				if partial := size > limit || last && truncated && i == 0; d.Partial != partial {
					t.Fatalf("message %d: Partial is %v", i, d.Partial)
				}
				if leases[d.lease] {
					t.Fatalf("message %d: a lease of what another datagram has", i)
				}
				leases[d.lease] = true
				payload = payload[size:]
				lent = append(lent, d)
			}
		}
		var d Datagram
		if in.next(&d, limit) || !in.isEmpty() {
			t.Fatal("a datagram too many")
		}
		for _, d := range lent {
			payloads -= len(d.Payload)
		}
		if datagrams != len(lent) || payloads != 0 {
			t.Fatalf("%d datagrams and %d bytes too many were counted", datagrams-len(lent), payloads)
		}
		// What was released serves others, what was not does not.
		kept := lent[len(lent)/2:]
		before := make([][]byte, len(kept))
		for i := range kept {
			before[i] = bytes.Clone(kept[i].Payload)
		}
		for i := range lent[:len(lent)/2] {
			lent[i].Release()
			lent[i].Release()
		}
		for size := 1; size <= buffer.Size; size *= 2 {
			clear(buffer.Get(size).Bytes)
		}
		for i := range kept {
			if !bytes.Equal(kept[i].Payload, before[i]) {
				t.Fatalf("datagram %d of %d was overwritten before its release", len(lent)/2+i, len(lent))
			}
			kept[i].Release()
		}
	})
}

// checkParts checks that each datagram is a part of its own of a chunk, and that no more share one than may.
func checkParts(t *testing.T, messages []socket.Incoming) {
	t.Helper()
	var chunk *buffer.Chunk
	parts := 0
	for i := range messages {
		m := &messages[i]
		if m.Lent != chunk {
			chunk, parts = m.Lent, 0
		}
		if m.FirstPart != parts {
			t.Fatalf("message %d begins with part %d of its chunk, want %d", i, m.FirstPart, parts)
		}
		parts += batch.Segments(len(m.Payload), m.SegmentSize)
		if m.FirstPart > 0 && parts > partsPerCopy {
			t.Fatalf("%d datagrams share a chunk", parts)
		}
	}
}

// What is set aside outlasts the memory that was received into, which readers only borrow.
func TestSetAsideLends(t *testing.T) {
	r := receiver{config: receiveConfig{maxDatagram: 100}}
	chunk := buffer.Get(buffer.Size)
	r.intake.batch.Messages = []socket.Incoming{{Payload: chunk.Bytes[:10], Chunk: chunk}}
	r.intake.begin(r.config.maxDatagram)
	r.setAside()
	var d Datagram
	if !r.pending.PopFront(&d) || d.lease == (buffer.Lease{}) {
		t.Errorf("%v is not lent", d)
	}
}
