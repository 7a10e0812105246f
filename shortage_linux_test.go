package datagram_test

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/netns"
)

// queueing gives the near end of a LAN a queueing discipline, in the words of tc(8), which drops what
// finds no place in it.
func (l *lan) queueing(t *testing.T, discipline string) {
	t.Helper()
	words := append([]string{"qdisc", "replace", "dev", l.nearEnd.Name, "root"}, strings.Fields(discipline)...)
	out, err := l.near.Output(exec.Command("tc", words...))
	if errors.Is(err, exec.ErrNotFound) {
		netns.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatalf("tc %v: %v\n%s", words, err, out)
	}
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
		if err := pushed(t, c, lost); !errors.Is(err, syscall.ENOBUFS) {
			t.Errorf("queued: %v, want ENOBUFS", err)
		}
		if s := c.Stats(); s.Retries == 0 || s.SendErrors != 2 || s.Sent != 0 || s.NoBuffers != 2+s.Retries {
			t.Errorf("queued: %+v, want retries, 2 failed", s)
		}
		// The loopback interface has a queue of its own.
		push(t, c, datagram.To(at(f.near, c), []byte("to itself")))
		wantNext(t, c, "to itself")

		unaware := listenIn(t, l.near, f.network, ":0")
		push(t, unaware, lost)
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
				err := c.SendFunc(within(t), datagram.To(at(f.far, receiver), payload), func(err error) { answers <- err })
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, number := range numbers {
				switch err := await(t, "an answer", answers); {
				case err == nil:
					sent = append(sent, number)
				case !errors.Is(err, syscall.ENOBUFS):
					t.Errorf("%v, want nil or ENOBUFS", err)
				}
			}
		}
		for _, want := range sent {
			if got, _, _ := strings.Cut(string(pull(t, receiver).Payload), " "); got != want {
				t.Fatalf("received number %s, want %s", got, want)
			}
		}
		if s := c.Stats(); s.Sent != uint64(len(sent)) || s.Accepted != s.Sent+s.SendErrors {
			t.Errorf("%d sent; %+v", len(sent), s)
		}
		push(t, c, datagram.To(at(f.far, receiver), []byte("the last")))
		wantNext(t, receiver, "the last")
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
			if err := c.Send(within(t), datagram.To(dead, make([]byte, 1000))); err != nil {
				t.Fatal(err)
			}
		}
		for i := range count {
			if err := await(t, "a report", reports); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
			push(t, peer, datagram.To(at(f.near, c), strconv.AppendInt(nil, int64(i), 10)))
			wantNext(t, c, strconv.Itoa(i))
		}
		if err := c.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Sent != count || s.SendErrors != 0 || len(reports) > 0 {
			t.Errorf("%d more reports; %+v", len(reports), s)
		}
	})
}
