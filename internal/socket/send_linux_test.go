package socket_test

import (
	"bytes"
	"testing"

	"example.com/datagram/internal/socket"
)

// TestNeighbours sends payloads that fill their allocations, which may lie side
// by side: they may share a message, and pointers from one to the other may not.
// The race detector's pointer checks see that.
func TestNeighbours(t *testing.T) {
	s, err := listen(t, "udp4", "127.0.0.1:0", implementations[0].config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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
