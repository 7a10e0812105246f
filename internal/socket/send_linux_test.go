package socket_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"example.com/datagram/internal/socket"
)

// TestNeighbours sends payloads that fill their allocations, which may lie side
// by side: they may share a message, and pointers from one to the other may not.
// The race detector's pointer checks see that.
func TestNeighbours(t *testing.T) {
	s := openSocket(t, implementations[0].config)
	var batch socket.Batch
	defer batch.Free()
	for range 100 {
		ds := make([]socket.Outgoing, 20)
		for i := range ds {
			ds[i] = socket.Outgoing{Addr: s.Info().Local, Payload: bytes.Repeat([]byte{byte(i)}, 64)}
		}
		for sent := 0; sent < len(ds); {
			n, err := s.Send(ds[sent:], true)
			if err != nil {
				t.Fatal(err)
			}
			sent += n
		}
		for got := 0; got < len(ds)*64; {
			if err := s.Receive(&batch); err != nil {
				t.Fatal(err)
			}
			for _, m := range batch.Messages {
				for _, b := range m.Payload {
					if b != byte(got/64) {
						t.Fatalf("byte %d of the stream is %d", got, b)
					}
					got++
				}
			}
		}
	}
}

// TestScatteredPayloads sends more pieces of memory at a time than the system takes, to one destination.
func TestScatteredPayloads(t *testing.T) {
	s := openSocket(t, implementations[0].config)
	var batch socket.Batch
	defer batch.Free()
	const count, size = 300, 16
	memory := make([]byte, count*2*size)
	ds := make([]socket.Outgoing, count)
	for i := range ds {
		payload := memory[i*2*size:][:size]
		binary.BigEndian.PutUint64(payload, uint64(i))
		ds[i] = socket.Outgoing{Addr: s.Info().Local, Payload: payload}
	}
	for got := 0; got < count; {
		sent, err := s.Send(ds, true)
		if err != nil {
			t.Fatal(err)
		}
		ds = ds[sent:]
		for end := got + sent; got < end; {
			if err := s.Receive(&batch); err != nil {
				t.Fatal(err)
			}
			for _, m := range batch.Messages {
				for payload := m.Payload; len(payload) > 0; payload = payload[size:] {
					if n := binary.BigEndian.Uint64(payload); n != uint64(got) {
						t.Fatalf("datagram %d arrives where %d should", n, got)
					}
					got++
				}
			}
		}
	}
}

// The longest run that the system takes over IPv4 is shorter than over IPv6, by the header.
func TestLongestRun(t *testing.T) {
	s := openSocket(t, implementations[0].config)
	const count, size = 10, 13_103 // five of them would be too long for IPv4 alone
	ds := make([]socket.Outgoing, count)
	for i := range ds {
		ds[i] = socket.Outgoing{Addr: s.Info().Local, Payload: make([]byte, size)}
	}
	n, err := s.Send(ds, false)
	if retries := s.Counters().Retries.Load(); n != count || err != nil || retries > 0 {
		t.Errorf("%d, %v after %d retries, want %d", n, err, retries, count)
	}
}
