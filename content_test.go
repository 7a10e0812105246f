package datagram_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/softnet"
	"example.com/datagram/internal/testing/testenv"
)

// streamLength is how many datagrams the stream of a content check has. With
// DATAGRAM_LONG=1, as in CI, it is ten times as long.
func streamLength() int {
	n := 300_000
	if testenv.RaceEnabled || testing.Short() {
		n = 20_000
	}
	if os.Getenv("DATAGRAM_LONG") == "1" {
		n *= 10
	}
	return n
}

// The header of a datagram of the stream: a checksum of the rest, the destination it is for, its
// number among those to this destination.
const (
	streamSum    = 0
	streamTo     = 4
	streamNumber = 8
	streamHeader = 16
	streamMost   = 1400
	// streamEnd is the number of the datagrams after the last.
	streamEnd = 1 << 63
)

// A streamSource makes the datagrams of a stream.
type streamSource struct {
	random  *rand.Rand
	filling [2 * streamMost]byte
	payload [streamMost]byte
}

func newStreamSource(seed uint64) *streamSource {
	s := &streamSource{random: rand.New(rand.NewPCG(seed, seed))}
	for i := range s.filling {
		s.filling[i] = byte(s.random.Uint32())
	}
	return s
}

// run returns the size of the next datagrams, more often a small one, and how many to one
// destination are of it: often so many that they are segmented, and often one.
func (s *streamSource) run() (size, count int) {
	count = 1
	if s.random.IntN(2) == 0 {
		count += s.random.IntN(100)
	}
	return streamHeader + s.random.IntN(1+s.random.IntN(streamMost-streamHeader+1)), count
}

// make returns a payload, which is valid until the next.
func (s *streamSource) make(to int, number uint64, size int) []byte {
	p := s.payload[:size]
	copy(p[streamHeader:], s.filling[s.random.IntN(streamMost):])
	binary.BigEndian.PutUint32(p[streamTo:], uint32(to))
	binary.BigEndian.PutUint64(p[streamNumber:], number)
	binary.BigEndian.PutUint32(p[streamSum:], crc32.ChecksumIEEE(p[streamTo:]))
	return p
}

// A streamSink checks the datagrams of a stream that arrive at one destination.
type streamSink struct {
	conn *datagram.Conn
	addr netip.AddrPort
	to   int
	// sent counts what was sent to it, and next is the least number that may come. The first is the
	// sender's, the second the receiver's.
	sent, next uint64

	ended chan error
}

// receive takes datagrams until the end of the stream.
func (s *streamSink) receive() {
	for d := range s.conn.Recv() {
		number, err := s.check(d.Payload)
		d.Release()
		if err != nil || number == streamEnd {
			s.ended <- err
			break
		}
	}
	for d := range s.conn.Recv() { // more ends
		d.Release()
	}
}

func (s *streamSink) check(p []byte) (number uint64, err error) {
	if len(p) < streamHeader || crc32.ChecksumIEEE(p[streamTo:]) != binary.BigEndian.Uint32(p[streamSum:]) {
		return 0, fmt.Errorf("a datagram of %d bytes is not what was sent, after number %d", len(p), s.next)
	}
	if to := binary.BigEndian.Uint32(p[streamTo:]); to != uint32(s.to) {
		return 0, fmt.Errorf("a datagram for %d", to)
	}
	number = binary.BigEndian.Uint64(p[streamNumber:])
	if number < s.next {
		return 0, fmt.Errorf("number %d where %d is the least that can follow", number, s.next)
	}
	s.next = number + 1
	return number, nil
}

// TestStreamContent sends as fast as it goes to several destinations at once. All that
// arrives is whole, in order and there once, and what does not was dropped and counted by
// the kernel.
func TestStreamContent(t *testing.T) {
	for _, test := range []struct {
		name      string
		receivers datagram.Offload
		exact     bool // the kernel counts each datagram that it drops
	}{
		{"one by one", datagram.OffloadNone, true},
		{"batches", datagram.OffloadBatch, true},
		{"coalesced", datagram.OffloadAll, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			const destinations = 4
			c := conntest.Loopback(t)
			sinks := make([]*streamSink, destinations)
			for i := range sinks {
				room := 4 << 20
				if i == 0 { // too little, so that something is dropped
					room = 64 << 10
				}
				sink := &streamSink{
					conn:  conntest.Loopback(t, datagram.WithOffload(test.receivers), datagram.WithReadBuffer(room)),
					to:    i,
					ended: make(chan error, 1),
				}
				sink.addr = sink.conn.LocalAddr()
				sinks[i] = sink
				done := await.Go(sink.receive)
				t.Cleanup(func() { // before that of the handle
					sink.conn.Close()
					await.Signal(t, "the receiver", done)
				})
			}
			lost := softnet.Watch()
			source := newStreamSource(1)
			start := time.Now()
			for total := streamLength(); total > 0; {
				sink := sinks[source.random.IntN(len(sinks))]
				size, count := source.run()
				count = min(count, total)
				total -= count
				for range count {
					sink.send(t, c, source.make(sink.to, sink.sent, size))
				}
			}
			conntest.ExpectError(t, "Flush", c.Flush(background), nil)
			t.Logf("%.2f million a second", float64(streamLength())/time.Since(start).Seconds()/1e6)
			for _, sink := range sinks {
				sink.end(t, c, source)
				sink.account(t, test.exact, lost)
			}
			s := c.Stats()
			if s.Sent != s.Accepted || s.SendErrors != 0 {
				t.Errorf("%+v, want no errors", s)
			}
		})
	}
}

func (s *streamSink) send(t *testing.T, c *datagram.Conn, payload []byte) {
	t.Helper()
	if err := c.Send(background, datagram.To(s.addr, payload)); err != nil {
		t.Fatal(err)
	}
	s.sent++
}

// end tells the receiver that the stream is over, which may be dropped as everything else.
func (s *streamSink) end(t *testing.T, c *datagram.Conn, source *streamSource) {
	t.Helper()
	await.Until(t, "the end of the stream arrives", func() bool {
		s.send(t, c, source.make(s.to, streamEnd, streamHeader))
		select {
		case err := <-s.ended:
			conntest.ExpectError(t, fmt.Sprint("receiver ", s.to), err, nil)
			return true
		default:
			return false
		}
	})
	conntest.ExpectError(t, "Flush", c.Flush(background), nil)
}

// account checks that what was sent was received, or dropped by the kernel, as far as
// it tells. lost reports whether packets were lost that no socket counts.
func (s *streamSink) account(t *testing.T, exact bool, lost func() bool) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	var stats datagram.Stats
	await.Until(t, "all is received or dropped", func() bool {
		stats = s.conn.Stats()
		return stats.Received+stats.KernelDrops >= s.sent || !exact && stats.KernelDrops > 0 || lost()
	})
	t.Logf("of %d sent %d were received, %d dropped", s.sent, stats.Received, stats.KernelDrops)
	if known := stats.Received + stats.KernelDrops; known > s.sent || exact && !lost() && known != s.sent {
		t.Errorf("of %d sent %d were received and %d dropped", s.sent, stats.Received, stats.KernelDrops)
	}
}
