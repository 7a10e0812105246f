package socket_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/sockettest"
	"example.com/datagram/internal/testing/testenv"
)

// forEachWatched runs a test at each level of the offloads, with sockets that may be put behind a gate.
func forEachWatched(t *testing.T, test func(t *testing.T, config socket.Config)) {
	for _, i := range implementations {
		if !i.config.Portable {
			t.Run(i.name, func(t *testing.T) { test(t, i.config) })
		}
	}
}

// receiveAll receives until n datagrams have come, and checks their numbers.
func receiveAll(s socket.Socket, b *socket.Batch, first, n uint32) error {
	for end := first + n; first != end; {
		if err := s.Receive(b); err != nil {
			return fmt.Errorf("waiting for datagram %d: %w", first, err)
		}
		for _, m := range b.Messages {
			for range batch.Segments(len(m.Payload), m.SegmentSize) {
				if got := binary.BigEndian.Uint32(m.Payload); got != first {
					return fmt.Errorf("datagram %d, want %d", got, first)
				}
				first++
				m.Payload = m.Payload[min(len(m.Payload), max(m.SegmentSize, 4)):]
			}
		}
	}
	return nil
}

// numbered returns datagrams with the numbers from first. Every two have the same size.
func numbered(to netip.AddrPort, first, n uint32) []socket.Outgoing {
	ds := make([]socket.Outgoing, n)
	for i := range ds {
		payload := make([]byte, 4+i/2)
		binary.BigEndian.PutUint32(payload, first+uint32(i))
		ds[i] = socket.Outgoing{Addr: to, Payload: payload}
	}
	return ds
}

func sendAll(s socket.Socket, ds []socket.Outgoing) error {
	for len(ds) > 0 {
		n, err := s.Send(ds, true)
		if err != nil {
			return err
		}
		ds = ds[n:]
	}
	return nil
}

// No wake-up is lost, whether a socket changes over as it chooses itself, or is made to before every receive and at
// any other time. Bursts and single datagrams alternate. Each round waits for all of its datagrams, so that one that
// wakes nobody ends the test.
func TestGateLosesNoWakeUp(t *testing.T) {
	forEachWatched(t, func(t *testing.T, config socket.Config) {
		t.Run("by itself", func(t *testing.T) {
			changes := alternate(t, config, func(socket.Socket) {})
			if busy := config.Batch; busy != (changes > 0) { // one that receives singly is never busy
				t.Errorf("changed over %d times", changes)
			}
		})
		t.Run("forced", func(t *testing.T) {
			changes := alternate(t, config, func(s socket.Socket) {
				if rand.N(2) == 0 {
					changeOver(s)
				}
			})
			if changes == 0 {
				t.Error("never changed over")
			}
		})
	})
}

// changeOver puts a socket behind a gate or gives it to the poller.
func changeOver(s socket.Socket) {
	if rand.N(2) == 0 {
		_ = socket.ToGate(s)
	} else {
		_ = socket.ToPoller(s)
	}
}

// alternate runs rounds between two sockets. It calls at before each receive, and at any time. It returns in how many
// rounds the socket changed over.
func alternate(t *testing.T, config socket.Config, at func(socket.Socket)) (changes int) {
	rounds := 20_000
	switch {
	case os.Getenv("DATAGRAM_LONG") == "1":
		rounds = 1_000_000
	case testenv.RaceEnabled || testing.Short():
		rounds = 3000
	}
	const (
		burst   = 20
		stretch = 64 // rounds with bursts, and then as many with single datagrams
	)
	size := func(round int) uint32 {
		if round/stretch%2 == 0 {
			return burst
		}
		return 1
	}
	from, s := openSocket(t, config), openSocket(t, config)
	watchdog := time.AfterFunc(await.Limit, s.Interrupt)
	defer watchdog.Stop()
	sent, received := make(chan struct{}, 1), make(chan error, 1)
	done := await.Go(func() {
		defer close(received)
		var b socket.Batch
		defer b.Free()
		number := uint32(0)
		for round := range rounds {
			if round/stretch%4 < 2 { // else it already waits
				<-sent
			}
			at(s)
			if err := receiveAll(s, &b, number, size(round)); err != nil {
				received <- fmt.Errorf("round %d: %w", round, err)
				return
			}
			number += size(round)
			received <- nil
		}
	})
	number := uint32(0)
	for round := range rounds {
		watchdog.Reset(await.Limit)
		if err := sendAll(from, numbered(s.Info().Local, number, size(round))); err != nil {
			t.Fatal(err)
		}
		number += size(round)
		if round/stretch%4 < 2 {
			sent <- struct{}{}
		}
		gated := socket.IsGated(s)
		at(s)
		if err := <-received; err != nil {
			t.Fatal(err)
		}
		if socket.IsGated(s) != gated {
			changes++
		}
	}
	<-done
	return changes
}

// Behind a gate a socket is like any other.
func TestGateConforms(t *testing.T) {
	for _, i := range implementations {
		if i.config.Portable {
			continue
		}
		t.Run(i.name, func(t *testing.T) {
			before := descriptors(t)
			gated := func(t testing.TB, network, address string, config socket.Config) (socket.Socket, error) {
				s, err := listen(t, network, address, config)
				if err == nil {
					err = socket.ToGate(s)
				}
				return s, err
			}
			sockettest.Test(t, sockettest.Factory{Listen: gated, Config: i.config, Lacks: i.lacks()})
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
		})
	}
}

// An error queue that nobody empties keeps an error condition up, of which the gate hears even while it is shut. It
// neither keeps a receive busy nor hides datagrams from it.
func TestGateWithErrorCondition(t *testing.T) {
	config := limits(true, true, true)
	config.Control = func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1) })
		return errors.Join(e, err)
	}
	s, peer := openSocket(t, config), openSocket(t, config)
	dead := peer.Info().Local
	if err := errors.Join(peer.Close(), socket.ToGate(s), sendAll(s, numbered(dead, 0, 1))); err != nil {
		t.Fatal(err)
	}
	var b socket.Batch
	defer b.Free()
	if err := s.Receive(&b); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("received %v, want ECONNREFUSED", err)
	}
	tries := make(chan struct{}, 100)
	received := make(chan error, 1)
	go func() {
		received <- socket.ReceiveWith(s, func(fd uintptr) bool {
			tries <- struct{}{}
			_, _, err := unix.Recvfrom(int(fd), make([]byte, 8), unix.MSG_DONTWAIT)
			return err == nil
		})
	}()
	for range 2 { // before and after the gate opens
		await.Value(t, "a try", tries)
	}
	await.NotYet(t, "a receive that finds nothing", received)
	if extra := len(tries); extra > 1 { // the condition itself may wake it once
		t.Errorf("tried %d times more while nothing came", extra)
	}
	if err := sendAll(s, numbered(s.Info().Local, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if err := await.Value(t, "the datagram", received); err != nil || !socket.IsGated(s) {
		t.Errorf("received %v, behind a gate: %v", err, socket.IsGated(s))
	}
}

// Close, Interrupt and Resume hold at each point of a change: a waiting Receive ends, Close waits for calls in flight,
// and when it returns the port and all descriptors are free.
func TestChangeOverIsSafe(t *testing.T) {
	rounds := 300
	switch {
	case os.Getenv("DATAGRAM_LONG") == "1":
		rounds = 10_000
	case testing.Short():
		rounds = 30
	}
	forEachWatched(t, func(t *testing.T, config socket.Config) {
		before := descriptors(t)
		addr := openSocket(t, config).Info().Local
		addr = netip.AddrPortFrom(addr.Addr().Next(), addr.Port())
		for round := range rounds {
			s, err := listen(t, "udp4", addr.String(), config)
			if err != nil {
				t.Fatalf("round %d: the port is not free: %v", round, err)
			}
			var others sync.WaitGroup
			for range 2 {
				others.Go(func() { useUntilClosed(t, s, numbered(addr, 0, 20)) })
			}
			others.Go(func() {
				for !errors.Is(socket.ToPoller(s), net.ErrClosed) {
					_ = socket.ToGate(s)
					time.Sleep(rand.N(50 * time.Microsecond)) // else little but changes happens on a busy machine
				}
			})
			interrupted := make(chan struct{})
			others.Go(func() {
				defer close(interrupted)
				receiveUntilClosed(t, s, interrupted)
			})
			for range rand.N(4) {
				s.Interrupt()
				await.Value(t, "Receive is interrupted", interrupted)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			await.Return(t, "all calls have ended", others.Wait)
		}
		if after := descriptors(t); after > before+1 {
			t.Errorf("%d descriptors open, %d before", after, before)
		}
	})
}

func useUntilClosed(t *testing.T, s socket.Socket, ds []socket.Outgoing) {
	for {
		_, err := s.Send(ds, true)
		s.Readable()
		if _, e := s.Option(socket.TTL); err == nil {
			err = e
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("send: %v", err)
			}
			return
		}
	}
}

// receiveUntilClosed tells of each interruption, and resumes.
func receiveUntilClosed(t *testing.T, s socket.Socket, interrupted chan<- struct{}) {
	var b socket.Batch
	defer b.Free()
	for {
		switch err := s.Receive(&b); {
		case err == nil:
		case errors.Is(err, socket.ErrInterrupted):
			s.Resume()
			interrupted <- struct{}{}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			t.Errorf("receive: %v", err)
			return
		}
	}
}

// Interruptions outlast a change.
func TestInterruptedWhileChanging(t *testing.T) {
	s := openSocket(t, limits(true, true, true))
	var b socket.Batch
	for _, change := range []func(socket.Socket) error{socket.ToGate, socket.ToPoller} {
		s.Interrupt()
		if err := change(s); err != nil {
			t.Fatal(err)
		}
		if err := s.Receive(&b); !errors.Is(err, socket.ErrInterrupted) {
			t.Errorf("received %v after a change", err)
		}
		s.Resume()
	}
}

// A busy socket wakes nobody while nobody waits: no epoll instance wants its datagrams or its room. A quiet one is with
// Go's poller.
func TestBusySocketIsNotPolled(t *testing.T) {
	s := openSocket(t, limits(true, true, true))
	const both = unix.EPOLLIN | unix.EPOLLOUT
	expect := func(when string, want uint32) {
		t.Helper()
		if got := registered(t, s) & both; got != want {
			t.Errorf("%s: registered for %#x, want %#x", when, got, want)
		}
	}
	expect("quiet", both)
	var b socket.Batch
	defer b.Free()
	const burst = 20
	for number := uint32(0); !socket.IsGated(s); number += burst {
		if number > 1000*burst {
			t.Fatal("still with the poller")
		}
		if err := errors.Join(sendAll(s, numbered(s.Info().Local, number, burst)), receiveAll(s, &b, number, burst)); err != nil {
			t.Fatal(err)
		}
	}
	expect("busy", 0)
	waiting := await.Go(func() { _ = s.Receive(&b) })
	await.Until(t, "the gate is open", func() bool { return registered(t, s)&both == unix.EPOLLIN })
	if err := sendAll(s, numbered(s.Info().Local, 0, 1)); err != nil {
		t.Fatal(err)
	}
	await.Closed(t, "the datagram", waiting)
	expect("after a wait", 0)
	if _, err := s.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	expect("shared", both)
	if err := socket.ToGate(s); err != nil || socket.IsGated(s) {
		t.Errorf("behind a gate though its raw connection was given away: %v", err)
	}
}

// registered returns the events that epoll instances of this process want of a socket, by fdinfo (proc(5)).
func registered(t *testing.T, s socket.Socket) (events uint32) {
	t.Helper()
	inode := inodeOf(t, s)
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.ReadFile(name)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(info)) {
			var tfd, position, device int
			var wants uint32
			var data, ino uint64
			n, _ := fmt.Sscanf(line, "tfd: %d events: %x data: %x pos:%d ino:%x sdev:%x", &tfd, &wants, &data, &position, &ino, &device)
			if n == 6 && ino == inode {
				events |= wants
			}
		}
	}
	return events
}

func inodeOf(t *testing.T, s socket.Socket) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := socket.OnDescriptor(s, func(fd uintptr) error { return unix.Fstat(int(fd), &stat) }); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

// A send that waits for room behind a gate waits with the poller, and the socket stays there meanwhile.
func TestSendWaitsBehindGate(t *testing.T) {
	config := limits(false, false, true)
	config.Settings = []socket.Setting{{Option: socket.WriteBuffer, Value: 1}}
	s, _ := behindSlowLink(t, "80mbit", config)
	ds := []socket.Outgoing{{Addr: netip.MustParseAddrPort("192.0.2.2:9"), Payload: make([]byte, 1000)}}
	send := func() {
		for range 300 {
			if err := sendAll(s, ds); err != nil {
				t.Error(err)
				return
			}
		}
	}
	gate := func() {
		if err := socket.ToGate(s); err != nil || !socket.IsGated(s) {
			t.Fatal("not behind a gate: ", err)
		}
	}
	gate()
	await.Return(t, "all datagrams are sent", send)
	if socket.IsGated(s) {
		t.Error("no send has waited")
	}
	gate()
	withoutDescriptors(t, func() {
		await.Return(t, "all datagrams are sent without a free descriptor", send)
		if err := socket.ToPoller(s); !errors.Is(err, unix.EMFILE) {
			t.Errorf("to the poller: %v", err)
		}
	})
	if err := socket.ToPoller(s); err != nil {
		t.Error(err)
	}
}

// withoutDescriptors calls f while no descriptor is free.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	f()
}

// A change for which descriptors run out, at each of the two that it needs, changes nothing and leaves none open.
func TestChangeOverWithoutDescriptors(t *testing.T) {
	s := openSocket(t, limits(true, true, true))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	used := descriptors(t)
	free := 0 // the lowest free descriptors are the next
	for n := 0; free == 0; n++ {
		if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil {
			free = n
		}
	}
	for _, more := range []int{0, 1} {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free + more), Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
		if err := socket.ToGate(s); !errors.Is(err, unix.EMFILE) || socket.IsGated(s) {
			t.Errorf("%d descriptors free: %v, behind a gate: %v", more, err, socket.IsGated(s))
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if now := descriptors(t); now != used {
		t.Errorf("%d descriptors open, %d before", now, used)
	}
	var b socket.Batch
	defer b.Free()
	if err := errors.Join(sendAll(s, numbered(s.Info().Local, 0, 1)), receiveAll(s, &b, 0, 1)); err != nil {
		t.Error(err)
	}
}

// The raw connection that a Control function keeps stays valid. Who waits on it has the poller to himself.
func TestKeptRawConn(t *testing.T) {
	forEachWatched(t, func(t *testing.T, config socket.Config) {
		var kept syscall.RawConn
		config.Control = func(_, _ string, c syscall.RawConn) error {
			kept = c
			return nil
		}
		s := openSocket(t, config)
		if err := socket.ToGate(s); err != nil || !socket.IsGated(s) {
			t.Fatal("not behind a gate: ", err)
		}
		var port uint16
		if err := kept.Control(func(fd uintptr) {
			if sa, err := unix.Getsockname(int(fd)); err == nil {
				port = uint16(sa.(*unix.SockaddrInet4).Port)
			}
		}); err != nil || port != s.Info().Local.Port() {
			t.Errorf("port %d, %v", port, err)
		}
		tries := make(chan int, 2)
		waiting := await.Go(func() {
			if err := kept.Read(func(uintptr) bool { tries <- 1; return len(tries) > 1 }); err != nil {
				t.Error(err)
			}
		})
		await.Until(t, "the first try", func() bool { return len(tries) == 1 }) // which finds nothing
		if socket.IsGated(s) {
			t.Error("waits behind a gate")
		}
		if err := sendAll(s, numbered(s.Info().Local, 0, 1)); err != nil {
			t.Fatal(err)
		}
		await.Closed(t, "the raw connection has waited", waiting)
	})
}
