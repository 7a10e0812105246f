package main

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

func TestAnswer(t *testing.T) {
	request := make([]byte, headerSize)
	request[0], request[2] = 4<<3|modeClient, 6
	copy(request[transmitTime:], "original")
	received := time.Date(2036, 2, 7, 6, 28, 16, 5e8, time.UTC) // half a second after the seconds wrap around
	p := answer(request, 7, received, received.Add(time.Second))
	if len(p) != headerSize || p[0] != 4<<3|modeServer || p[1] != 7 || p[2] != 6 {
		t.Errorf("answer % x", p)
	}
	if !bytes.Equal(p[24:32], []byte("original")) {
		t.Errorf("origin %q, want the client's transmit time", p[24:32])
	}
	for offset, want := range map[int]uint64{32: 1 << 31, 40: 1<<32 + 1<<31} {
		if got := binary.BigEndian.Uint64(p[offset:]); got != want {
			t.Errorf("time at %d: %#x, want %#x", offset, got, want)
		}
	}
}

// Only requests are answered, whatever arrives.
func FuzzIsRequest(f *testing.F) {
	f.Add(make([]byte, headerSize))
	f.Add(append([]byte{4<<3 | modeClient}, make([]byte, headerSize-1)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		if !isRequest(p) {
			return
		}
		if a := answer(p, 1, time.Now(), time.Now()); len(a) > len(p) || isRequest(a) {
			t.Errorf("answer % x to % x", a, p)
		}
	})
}
