package datagram_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// As for package net, Read leaves a datagram where it is if there is no memory for any of it. ReadFrom takes it.
func TestReadingIntoNothing(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		p := w.listen(t).PacketConn()
		p.SetReadDeadline(time.Now().Add(await.Limit))
		write(t, p, "kept", p.LocalAddr())
		for _, nothing := range [][]byte{nil, {}} {
			if n, err := p.Read(nothing); n != 0 || err != nil {
				t.Errorf("Read: %d, %v", n, err)
			}
		}
		read(t, p, "kept")
		write(t, p, "taken", p.LocalAddr())
		if n, from, err := p.ReadFrom(nil); n != 0 || from == nil || err != nil {
			t.Errorf("ReadFrom: %d from %v, %v", n, from, err)
		}
		p.SetReadDeadline(time.Now().Add(time.Millisecond))
		expectTimeout(t, "the next read", conntest.Err(p.Read(make([]byte, 1))))
	})
}

func TestReadingClaimsReceiving(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t).PacketConn()
		p := c.PacketConn()
		to := p.LocalAddr()
		write(t, sender, "1", to)
		read(t, p, "1")
		if !c.Active() {
			t.Error("a handle that is read from is not active")
		}
		if _, ok := <-c.Recv(); ok {
			t.Error("Recv received beside a reader")
		}
		conntest.CheckErrno(t, c.Err(), syscall.EALREADY)
		conntest.CheckErrno(t, c.Serve(t.Context(), func(datagram.Datagram) {}), syscall.EALREADY)

		waiting := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 1))
			waiting <- err
		}()
		await.Until(t, "the reader to read", func() bool { // which it does at the latest when a datagram has come
			write(t, sender, "2", to)
			select {
			case err := <-waiting:
				waiting <- err
				return true
			default:
				return false
			}
		})
		<-waiting
		if err := c.StopRecv(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for d := range c.Recv() {
				if string(d.Payload) == "last" {
					c.StopRecv()
				}
			}
			waiting <- c.Err()
		}()
		await.Until(t, "Recv to receive", func() bool { return c.Active() })
		_, err := p.Read(make([]byte, 1))
		conntest.CheckErrno(t, err, syscall.EALREADY)
		write(t, sender, "last", to)
		if err := await.Value(t, "Recv to end", waiting); err != nil {
			t.Error(err)
		}
		conntest.CheckLedger(t, c.Stats())
	})
}

// Whoever receives next begins with what was received before and not read.
func TestNextReceiverGetsTheRest(t *testing.T) {
	const n = 40
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t, datagram.WithRecvQueue(10, datagram.Block)), w.listen(t)
		var batch []datagram.Datagram
		for i := range n {
			batch = append(batch, datagram.To(c.LocalAddr(), []byte(fmt.Sprintf("%02d", i))))
		}
		if _, err := sender.SendBatch(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		p := c.PacketConn()
		for i := 0; i < n; {
			read(t, p, fmt.Sprintf("%02d", i))
			c.StopRecv()
			d := await.Value(t, "the next", c.Recv())
			if got := string(d.Payload); got != fmt.Sprintf("%02d", i+1) {
				t.Fatalf("after %d, Recv received %s", i, got)
			}
			i += 2
			c.StopRecv() // and the channel keeps some
		}
		if s := c.Stats(); s.Received != n || s.Delivered != n {
			t.Errorf("received %d, delivered %d, want %d", s.Received, s.Delivered, n)
		}
	})
}

func TestStopRecvEndsReads(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t)
		p := c.PacketConn()
		const readers = 3
		ended := startReaders(t, c, readers)
		for range readers {
			await.Until(t, "a reader", func() bool {
				c.StopRecv() // again for those that had not begun to read
				return len(ended) > 0
			})
			conntest.CheckErrno(t, <-ended, syscall.ECANCELED)
		}
		write(t, sender.PacketConn(), "x", p.LocalAddr())
		read(t, p, "x")
	})
}

// startReaders starts goroutines that read until an error. They have claimed receiving when it returns.
func startReaders(t *testing.T, c *datagram.Conn, n int) <-chan error {
	t.Helper()
	ended := make(chan error, n)
	for range n {
		go func() {
			for p := make([]byte, 100); ; {
				if _, err := c.PacketConn().Read(p); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	await.Until(t, "a reader", c.Active)
	return ended
}

func TestEachDatagramGoesToOneReader(t *testing.T) {
	const readers, n = 4, 1000
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t, datagram.WithReadBuffer(4<<20)), w.listen(t).PacketConn()
		p := c.PacketConn()
		texts := make(chan string, n)
		var running sync.WaitGroup
		for range readers {
			running.Go(func() {
				for b := make([]byte, 100); ; {
					n, _, err := p.ReadFromUDPAddrPort(b)
					if err != nil {
						conntest.CheckErrno(t, err, net.ErrClosed)
						return
					}
					texts <- string(b[:n])
				}
			})
		}
		seen := make(map[string]bool)
		for i := range n {
			write(t, sender, fmt.Sprint(i), p.LocalAddr())
			if i%50 == 0 { // the receive buffer is not to run full
				seen[await.Value(t, "a datagram", texts)] = true
			}
		}
		for len(seen) < n {
			text := await.Value(t, "a datagram", texts)
			if seen[text] {
				t.Fatalf("%s was read twice", text)
			}
			seen[text] = true
		}
		p.Close()
		running.Wait()
	})
}

// Whoever leaves passes the turn on to one that waits.
func TestReadersTakeTurns(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		const readers = 3
		c, sender := w.listen(t), w.listen(t).PacketConn()
		texts := make(chan string, readers)
		for range readers {
			go func() {
				p := make([]byte, 100)
				n, err := c.PacketConn().Read(p)
				if err != nil {
					t.Errorf("Read: %v", err)
				}
				texts <- string(p[:n])
			}()
		}
		await.Until(t, "a reader", c.Active)
		for i := range readers {
			write(t, sender, fmt.Sprint(i), c.PacketConn().LocalAddr())
			if text := await.Value(t, "a datagram", texts); text != fmt.Sprint(i) {
				t.Errorf("read %q, want %d", text, i)
			}
		}
	})
}

func TestReadDeadline(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t).PacketConn()
		p := c.PacketConn()
		read1 := func() error { return conntest.Err(p.Read(make([]byte, 100))) }

		// A deadline in the past comes before data, and loses none.
		write(t, sender, "x", p.LocalAddr())
		await.Until(t, "the datagram", func() bool { // so that there is one
			p.SetReadDeadline(time.Time{})
			read(t, p, "x")
			write(t, sender, "x", p.LocalAddr())
			return true
		})
		p.SetReadDeadline(time.Unix(1, 0))
		for range 3 {
			expectTimeout(t, "past", read1())
		}
		read(t, p, "x")

		// It wakes all who wait.
		p.SetReadDeadline(time.Time{})
		ended := startReaders(t, c, 3)
		p.SetReadDeadline(time.Now().Add(time.Hour))
		p.SetDeadline(time.Now().Add(5 * time.Millisecond))
		for range 3 {
			expectTimeout(t, "waiting", await.Value(t, "a reader", ended))
		}
		// Cleared, it is as if there had been none.
		p.SetReadDeadline(time.Time{})
		ended = startReaders(t, c, 1)
		p.SetReadDeadline(time.Now().Add(time.Hour))
		p.SetReadDeadline(time.Time{})
		p.SetReadDeadline(time.Unix(1, 0))
		expectTimeout(t, "moved to the past", await.Value(t, "a reader", ended))
		if op := (*net.OpError)(nil); !errors.As(read1(), &op) || op.Op != "read" || op.Source == nil {
			t.Errorf("the error is %+v", op)
		}
	})
}

// In a bubble, deadlines follow its clock.
func TestDeadlinesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Hour})
		defer network.Close()
		c, err := network.Listen(t.Context(), "udp", "10.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		sender, err := network.Dial(t.Context(), "udp", "10.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		defer sender.PacketConn().Close()
		p := c.PacketConn()
		defer p.Close()
		start := time.Now()
		if _, err := io.WriteString(sender.PacketConn(), "slow"); err != nil {
			t.Fatal(err)
		}
		elapsed := func(want time.Duration, err error) {
			t.Helper()
			if got := time.Since(start); got != want {
				t.Errorf("after %v, want %v: %v", got, want, err)
			}
		}
		b := make([]byte, 10)
		p.SetReadDeadline(start.Add(time.Minute))
		_, err = p.Read(b)
		expectTimeout(t, "a minute", err)
		elapsed(time.Minute, err)

		// Moved while somebody waits.
		p.SetReadDeadline(start.Add(2 * time.Minute))
		done := make(chan error, 1)
		go func() { done <- conntest.Err(p.Read(b)) }()
		synctest.Wait()
		p.SetReadDeadline(start.Add(3 * time.Minute))
		err = <-done
		elapsed(3*time.Minute, err)

		p.SetReadDeadline(start.Add(4 * time.Minute))
		go func() { done <- conntest.Err(p.Read(b)) }()
		synctest.Wait()
		p.SetReadDeadline(time.Time{})
		if err = <-done; err != nil {
			t.Errorf("reading what comes after an hour: %v", err)
		}
		elapsed(time.Hour, err)
	})
}

// Errors in a row, after which receiving pauses, neither delay refusals nor deadlines.
func TestErrorsDelayNoReader(t *testing.T) {
	for name, test := range map[string]struct {
		err, want error
		after     time.Duration
	}{
		"refusals": {syscall.ECONNREFUSED, syscall.ECONNREFUSED, 0},
		"others":   {syscall.EHOSTUNREACH, os.ErrDeadlineExceeded, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := datagramtest.NewNetwork(1, datagramtest.Link{})
				defer network.Close()
				failing := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpReceive, Err: test.err, Probability: 1})
				c, err := datagram.Dial(t.Context(), "udp", "10.0.0.1:53", network.Option(), failing.Option())
				if err != nil {
					t.Fatal(err)
				}
				p := c.PacketConn()
				defer p.Close()
				for range 40 {
					start := time.Now()
					p.SetReadDeadline(start.Add(time.Millisecond))
					conntest.CheckErrno(t, conntest.Err(p.Read(make([]byte, 1))), test.want)
					if took := time.Since(start); took != test.after {
						t.Fatalf("a read took %v, want %v", took, test.after)
					}
				}
			})
		})
	}
}

// A deadline may be as far away as a time can be.
func TestFarDeadlines(t *testing.T) {
	p := conntest.Loopback(t).PacketConn()
	for _, far := range []time.Time{time.Unix(1<<40, 0), time.Unix(1<<62, 0)} {
		if err := p.SetDeadline(far); err != nil {
			t.Fatal(err)
		}
		write(t, p, "x", p.LocalAddr())
		if n, _, err := p.ReadFrom(nil); n != 0 || err != nil {
			t.Errorf("until %v: %d, %v", far, n, err)
		}
	}
}

// A wait that was interrupted leaves the descriptor to others.
func TestRawReadAfterInterruption(t *testing.T) {
	for name, interrupt := range map[string]func(t *testing.T, c *datagram.Conn){
		"deadline": func(t *testing.T, c *datagram.Conn) {
			p := c.PacketConn()
			p.SetReadDeadline(time.Now().Add(time.Millisecond))
			expectTimeout(t, "the read", conntest.Err(p.Read(make([]byte, 1))))
		},
		"StopRecv": func(_ *testing.T, c *datagram.Conn) {
			c.Recv()
			c.StopRecv()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Loopback(t)
			interrupt(t, c)
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			await.Until(t, "a raw read", func() bool { return raw.Read(func(uintptr) bool { return true }) == nil })
		})
	}
}
