package datagramtest_test

import (
	"encoding/binary"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// lossy does to datagrams everything that a link can do.
var lossy = datagramtest.Link{
	Loss: 0.02, Duplicate: 0.01, Reorder: 0.05, Corrupt: 0.01,
	Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 9 << 20, Queue: 64 << 10,
}

// raceEnabled reports whether the race detector is enabled.
var raceEnabled = func() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()

// A million datagrams cross a lossy network. The books of the network, the handles and the program agree
// exactly: what was sent has arrived, or the network has dropped it.
func TestMillion(t *testing.T) {
	const senders = 4
	each := 250_000
	if raceEnabled || testing.Short() { // ten times slower under the race detector
		each /= 10
	}
	simulate(t, 1, lossy, func(w *world) {
		receiver := w.at(there, datagram.WithReadBuffer(1<<20))
		received, corrupted := 0, 0
		var reading, sending sync.WaitGroup
		reading.Go(func() {
			for d := range receiver.Recv() {
				received++
				if number, again := binary.BigEndian.Uint64(d.Payload), binary.BigEndian.Uint64(d.Payload[8:]); number != again {
					corrupted++
				}
				d.Release()
			}
		})
		for range senders {
			sender := w.at(here)
			sending.Go(func() {
				payload := make([]byte, 100)
				for i := range each {
					binary.BigEndian.PutUint64(payload, uint64(i))
					binary.BigEndian.PutUint64(payload[8:], uint64(i))
					if err := sender.Send(w.Context(), datagram.To(receiver.LocalAddr(), payload)); err != nil {
						t.Error(err)
					}
					if i%100 == 0 {
						time.Sleep(time.Millisecond)
						checkBooks(t, w.Stats())
					}
				}
				if err := sender.Flush(w.Context()); err != nil {
					t.Error(err)
				}
				if s := sender.Stats(); s.Sent != uint64(each) || s.SendErrors != 0 {
					t.Errorf("sender: %v", s)
				}
			})
		}
		sending.Wait()
		time.Sleep(time.Minute) // until everything has arrived
		receiver.StopRecv()
		reading.Wait()

		s, r := w.Stats(), receiver.Stats()
		t.Log(s)
		if s.Sent != uint64(senders*each) || s.Held != 0 || s.Refused != 0 {
			t.Error("not everything was sent, or has arrived")
		}
		if uint64(received) != s.Delivered || uint64(received) != s.Sent+s.Duplicated-s.Lost-s.Overflowed {
			t.Errorf("%d received", received)
		}
		if r.Received != s.Delivered || r.Delivered != s.Delivered || r.KernelDrops > s.Overflowed {
			t.Errorf("receiver: %v", r)
		}
		if s.Lost == 0 || s.Duplicated == 0 || s.Reordered == 0 || s.Overflowed == 0 ||
			corrupted == 0 || uint64(corrupted) > s.Corrupted {
			t.Errorf("%d corrupted; something has never happened", corrupted)
		}
	})
}
