package systemtest_test

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// queueing gives the near end of a LAN a queueing discipline, in the words of tc(8), which drops what
// finds no place in it.
func (l *lan) queueing(t *testing.T, discipline string) {
	t.Helper()
	words := append([]string{"qdisc", "replace", "dev", l.nearEnd.Name, "root"}, strings.Fields(discipline)...)
	l.near.Run("tc", words...)
	// Of what it keeps for a neighbour that it has to look for, the kernel does not say what is lost.
	for _, f := range families {
		l.near.IP("neighbour replace %s lladdr %s dev %s nud permanent", f.far, l.farEnd.HardwareAddr, l.nearEnd.Name)
		l.far.IP("neighbour replace %s lladdr %s dev %s nud permanent", f.near, l.nearEnd.HardwareAddr, l.farEnd.Name)
	}
}

// A device queue without any place drops everything. With WithNetworkErrors the kernel says so.
func TestNoBuffers(t *testing.T) {
	l := newLAN(t)
	l.queueing(t, "pfifo limit 0")
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far, f.network, ":0")
		lost := datagram.To(at(f.far, receiver), []byte("lost"))

		c := listenIn(t, l.near, f.network, ":0", datagram.WithNetworkErrors())
		if _, err := c.TrySend(lost); !errors.Is(err, syscall.ENOBUFS) || errors.Is(err, datagram.ErrWouldBlock) {
			t.Errorf("TrySend: %v, want ENOBUFS", err)
		}
		if s := c.Stats(); s.Retries != 0 || s.SendErrors != 1 || s.NoBuffers != 1 {
			t.Errorf("TrySend: %+v, want no retry, 1 failed without buffers", s)
		}
		if err := conntest.Outcome(t, c, lost); !errors.Is(err, syscall.ENOBUFS) {
			t.Errorf("queued: %v, want ENOBUFS", err)
		}
		if s := c.Stats(); s.Retries == 0 || s.SendErrors != 2 || s.Sent != 0 || s.NoBuffers != 2+s.Retries {
			t.Errorf("queued: %+v, want retries, 2 failed", s)
		}
		// The loopback interface has a queue of its own.
		conntest.Send(t, c, datagram.To(at(f.near, c), []byte("to itself")))
		conntest.Expect(t, c, "to itself")

		unaware := listenIn(t, l.near, f.network, ":0")
		conntest.Send(t, unaware, lost)
	})
}

// A destination behind a device that never has a place is waited for once, and others are not held up by it.
func TestDeadDeviceHoldsUpNobody(t *testing.T) {
	const each, pauses = 100, 7
	l := newLAN(t)
	l.queueing(t, "pfifo limit 0")
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far, f.network, ":0")
		c := listenIn(t, l.near, f.network, ":0", datagram.WithNetworkErrors())
		answers := make(chan error, 2*each)
		for i := range each {
			for _, to := range []netip.AddrPort{at(f.far, receiver), at(f.near, c)} {
				d := datagram.To(to, strconv.AppendInt(nil, int64(i), 10))
				if err := c.SendFunc(await.Context(t), d, func(err error) { answers <- err }); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range each {
			conntest.Expect(t, c, strconv.Itoa(i)) // by way of the loopback interface
		}
		for i := range 2 * each {
			if err := await.Value(t, "an answer", answers); i%2 == 0 && !errors.Is(err, syscall.ENOBUFS) || i%2 == 1 && err != nil {
				t.Errorf("datagram %d: %v", i, err)
			}
		}
		if s := c.Stats(); s.Retries != pauses || s.SendErrors != each || s.Sent != each {
			t.Errorf("%d retries, %d failed, %d sent, want %d, %d, %d", s.Retries, s.SendErrors, s.Sent, pauses, each, each)
		}
	})
}

// A device that is slower than the program: what finds no place at first leaves later, once and in
// order, and what never finds one is told so.
func TestSlowDevice(t *testing.T) {
	l := newLAN(t)
	// A millisecond for each datagram, and room for two of them.
	l.queueing(t, "tbf rate 8mbit burst 1500 limit 3000")
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far, f.network, ":0")
		// Of a message that the kernel segments the discipline may drop a part without a word.
		c := listenIn(t, l.near, f.network, ":0", datagram.WithNetworkErrors(), datagram.WithOffload(datagram.OffloadBatch))
		payload := make([]byte, 1000)
		var sent []string
		for next := 0; c.Stats().Retries == 0; {
			var numbers []string
			answers := make(chan error, 20)
			for range cap(answers) {
				numbers = append(numbers, strconv.Itoa(next))
				copy(payload, numbers[len(numbers)-1]+" ")
				next++
				err := c.SendFunc(await.Context(t), datagram.To(at(f.far, receiver), payload), func(err error) { answers <- err })
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, number := range numbers {
				switch err := await.Value(t, "an answer", answers); {
				case err == nil:
					sent = append(sent, number)
				case !errors.Is(err, syscall.ENOBUFS):
					t.Errorf("%v, want nil or ENOBUFS", err)
				}
			}
		}
		for _, want := range sent {
			if got, _, _ := strings.Cut(string(conntest.Next(t, receiver).Payload), " "); got != want {
				t.Fatalf("received number %s, want %s", got, want)
			}
		}
		if s := c.Stats(); s.Sent != uint64(len(sent)) || s.Accepted != s.Sent+s.SendErrors {
			t.Errorf("%d sent; %+v", len(sent), s)
		}
		conntest.Send(t, c, datagram.To(at(f.far, receiver), []byte("the last")))
		conntest.Expect(t, receiver, "the last")
	})
}

// While the send buffer is full the poller has nothing to tell but that there are network errors, which Go takes
// for a failure. All of them are told, and what comes in is received.
func TestNetworkErrorsWhileSendBufferIsFull(t *testing.T) {
	const count = 60
	l := newLAN(t)
	unlimitICMP(l.far)
	l.queueing(t, "tbf rate 800kbit burst 1600 limit 1000000") // 10 ms each, and none is dropped
	eachFamily(t, func(t *testing.T, f family) {
		gone, peer := listenIn(t, l.far, f.network, ":0"), listenIn(t, l.far, f.network, ":0")
		dead := at(f.far, gone)
		gone.Close()
		reports := make(chan error, 10*count)
		c := listenIn(t, l.near, f.network, ":0", datagram.WithNetworkErrors(), datagram.WithWriteBuffer(1), datagram.WithOffload(datagram.OffloadBatch),
			datagram.WithErrorHandler(func(err error) { reports <- err }))
		c.Recv()
		for range count {
			if err := c.Send(await.Context(t), datagram.To(dead, make([]byte, 1000))); err != nil {
				t.Fatal(err)
			}
		}
		for i := range count {
			if err := await.Value(t, "a report", reports); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
			conntest.Send(t, peer, datagram.To(at(f.near, c), strconv.AppendInt(nil, int64(i), 10)))
			conntest.Expect(t, c, strconv.Itoa(i))
		}
		if err := c.Flush(await.Context(t)); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Sent != count || s.SendErrors != 0 || len(reports) > 0 {
			t.Errorf("%d more reports; %+v", len(reports), s)
		}
	})
}
