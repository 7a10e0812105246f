// Package load asks a server questions all the time, and checks that it answers each of them once.
package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/datagram/internal/testing/await"
)

// inFlight is how many requests of a client are not answered yet. With few clients, the default buffers of a
// system hold all.
const inFlight = 4

// A Load is clients that send requests to an echo server. They use sockets of package net.
type Load struct {
	tb                testing.TB
	sockets           []*net.UDPConn
	running           sync.WaitGroup
	ending            atomic.Bool
	requests, answers atomic.Uint64
}

// Start starts clients. They run until End; a request that is not answered, or answered twice, fails the
// test.
func Start(tb testing.TB, server netip.AddrPort, clients int) *Load {
	tb.Helper()
	l := &Load{tb: tb}
	for range clients {
		s, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { s.Close() })
		l.sockets = append(l.sockets, s)
		l.running.Go(func() {
			if err := l.ask(s); err != nil && !errors.Is(err, net.ErrClosed) { // closed: the test has ended
				tb.Error(err)
			}
		})
	}
	return l
}

// ask sends requests and receives answers. A request is a number that its client sends once.
func (l *Load) ask(s *net.UDPConn) error {
	pending := make(map[uint64]bool)
	var b [8]byte
	for next := uint64(0); ; {
		for ; len(pending) < inFlight && !l.ending.Load(); next++ {
			pending[next] = true
			binary.BigEndian.PutUint64(b[:], next)
			l.requests.Add(1)
			if _, err := s.Write(b[:]); err != nil {
				return err
			}
		}
		if len(pending) == 0 {
			return nil
		}
		if err := s.SetReadDeadline(time.Now().Add(await.Limit)); err != nil {
			return err
		}
		n, err := s.Read(b[:])
		if err != nil {
			return fmt.Errorf("%d requests are not answered: %w", len(pending), err)
		}
		answer := binary.BigEndian.Uint64(b[:])
		if n != len(b) || !pending[answer] {
			return fmt.Errorf("an answer of %d bytes to request %d, which has been answered or was never sent", n, answer)
		}
		delete(pending, answer)
		l.answers.Add(1)
	}
}

// AwaitAnswers waits until n more requests are answered.
func (l *Load) AwaitAnswers(n uint64) {
	l.tb.Helper()
	seen := l.answers.Load()
	await.Until(l.tb, "answers", func() bool { return l.answers.Load() >= seen+n })
}

// End waits until all requests are answered, and returns how many there were.
func (l *Load) End() uint64 {
	l.tb.Helper()
	l.ending.Store(true)
	await.Closed(l.tb, "the clients", await.Go(l.running.Wait))
	return l.requests.Load()
}

// CheckQuiet checks that no more answers have come. The server must have ended.
func (l *Load) CheckQuiet() {
	l.tb.Helper()
	for _, s := range l.sockets {
		if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			l.tb.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			l.tb.Errorf("another answer: %d, %v", n, err)
		}
	}
}
