package socket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
)

// TestNeighbours sends payloads that fill their allocations, which may be adjacent.
// They may share a message, but no pointer may run from one into the other, which
// the race detector's pointer checks would notice.
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

// TestScatteredPayloads sends more pieces of memory to one destination than the system takes at a time.
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

// The longest run over IPv4 is shorter than over IPv6, by the length of IPv4's header.
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

// When a run fails its datagrams are sent one by one, each with a system call as without segmentation. They are not
// sent as a run again.
func TestFailingRunIsNotTriedTogetherAgain(t *testing.T) {
	for _, implementation := range implementations {
		t.Run(implementation.name, func(t *testing.T) {
			s := openSocket(t, implementation.config)
			local := s.Info().Local
			nowhere := netip.AddrPortFrom(local.Addr(), 0) // which is EINVAL, as some of segmentation is
			const count = 40
			runs := 0
			for range 3 {
				ds := make([]socket.Outgoing, count, 2*count)
				for i := range ds {
					ds[i] = socket.Outgoing{Addr: nowhere, Payload: make([]byte, 100)}
					ds = append(ds, socket.Outgoing{Addr: local, Payload: make([]byte, 100)})
				}
				before := s.Counters().Retries.Load()
				for range count {
					if n, err := s.Send(ds, false); n != 0 || !errors.Is(err, unix.EINVAL) {
						t.Fatalf("%d, %v; want EINVAL", n, err)
					}
					ds = ds[1:]
				}
				if n := s.Counters().Retries.Load() - before; n > 1 {
					t.Errorf("%d datagrams failed in %d system calls, want no more than %d", count, count+n, count+1)
				} else if n == 1 {
					runs++
				}
				calls := s.Counters().SendCalls.Load()
				for len(ds) > 0 {
					n, err := s.Send(ds, false)
					if err != nil {
						t.Fatal(err)
					}
					ds = ds[n:]
				}
				// The others are sent together.
				if n := s.Counters().SendCalls.Load() - calls; s.Segments() && n != 1 {
					t.Errorf("%d datagrams sent in %d system calls, want 1", count, n)
				}
			}
			if s.Segments() && runs == 0 {
				t.Error("nothing was tried together")
			}
			if n := s.Counters().Fallbacks.Load(); n > 0 {
				t.Errorf("segmentation was given up %d times", n)
			}
		})
	}
}
