// Package sockettest tests implementations of [socket.Socket].
package sockettest

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/testenv"
)

// A Factory creates the sockets under test.
type Factory struct {
	// Listen opens a socket bound to address. The suite closes it.
	Listen func(t testing.TB, network, address string, config socket.Config) (socket.Socket, error)
	// Config is the configuration of sockets for which a test asks for nothing else.
	Config socket.Config
	// Lacks lists the tests of features that the implementation lacks, with the reasons.
	Lacks map[string]string
	// Loopback and Multicast are the interfaces to use, or nil for those of the system.
	Loopback, Multicast *net.Interface
}

// tests are the subtests by name; see Factory.Lacks.
var tests = map[string]func(*suite){
	"Exchange":            testExchange,
	"Order":               testOrder,
	"Empty":               testEmpty,
	"Sizes":               testSizes,
	"DualStack":           testDualStack,
	"Truncated":           testTruncated,
	"Segments":            testSegments,
	"Alternating":         testAlternating,
	"BadDatagram":         testBadDatagram,
	"NoDestination":       testNoDestination,
	"Concurrent":          testConcurrent,
	"Connect":             testConnect,
	"ConnectDualStack":    testConnectDualStack,
	"ConnectedFilter":     testConnectedFilter,
	"ConnectedElsewhere":  testConnectedElsewhere,
	"Refused":             testRefused,
	"Interrupt":           testInterrupt,
	"InterruptedBefore":   testInterruptedBefore,
	"IdleMemory":          testIdleMemory,
	"CloseWakes":          testCloseWakes,
	"CloseFrees":          testCloseFrees,
	"AfterClose":          testAfterClose,
	"Info":                testInfo,
	"Control":             testControl,
	"File":                testFile,
	"Counters":            testCounters,
	"Options":             testOptions,
	"RefusedOption":       testRefusedOption,
	"ReceiveLocal":        testReceiveLocal,
	"ReceiveHopLimit":     testReceiveHopLimit,
	"ReceiveTrafficClass": testReceiveTrafficClass,
	"ReceiveTime":         testReceiveTime,
	"SendLocal":           testSendLocal,
	"SendInterface":       testSendInterface,
	"AllMetadata":         testAllMetadata,
	"Multicast":           testMulticast,
	"MulticastSource":     testMulticastSource,
	"MembershipErrors":    testMembershipErrors,
	"Drops":               testDrops,
}

// Test runs the suite. Each subtest also checks for leaked goroutines.
func Test(t *testing.T, f Factory) {
	for name := range f.Lacks {
		if tests[name] == nil {
			t.Errorf("there is no test %q to leave out", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			if reason, ok := f.Lacks[name]; ok {
				t.Skip(reason)
			}
			before := runtime.NumGoroutine()
			t.Cleanup(func() { checkGoroutines(t, before) }) // after all sockets are closed
			tests[name](&suite{T: t, Factory: f})
		})
	}
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func checkGoroutines(t *testing.T, before int) {
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// A suite is one test with the factory under test.
type suite struct {
	*testing.T
	Factory
}

// An endpoint is a socket under test.
type endpoint struct {
	socket.Socket
	t     testing.TB
	batch socket.Batch
	got   []datagram
}

// A datagram is a received datagram with its own memory.
type datagram struct {
	socket.Incoming
}

// quiet returns a socket on a port that, once it is closed, the system gives to nobody by itself
// (net.ipv4.ip_local_port_range), and its address.
func (s *suite) quiet() (*endpoint, netip.AddrPort) {
	s.Helper()
	e := s.endpoint(testenv.QuietPort(s, func(port int) (socket.Socket, error) {
		return s.Listen(s.T, "udp4", fmt.Sprint("127.0.0.1:", port), s.Config)
	}))
	return e, e.addr()
}

// listen opens a socket with settings beyond those of the factory.
func (s *suite) listen(network, address string, settings ...socket.Setting) *endpoint {
	s.Helper()
	config := s.Config
	config.Settings = append(slices.Clone(config.Settings), settings...)
	return s.open(network, address, config)
}

func (s *suite) open(network, address string, config socket.Config) *endpoint {
	s.Helper()
	sock, err := s.Listen(s.T, network, address, config)
	if err != nil {
		s.Fatalf("listen %s %s: %v", network, address, err)
	}
	return s.endpoint(sock)
}

// endpoint wraps a socket, which is closed when the test ends.
func (s *suite) endpoint(sock socket.Socket) *endpoint {
	e := &endpoint{Socket: sock, t: s.T}
	s.Cleanup(func() { e.batch.Free(); _ = e.Close() })
	return e
}

func (e *endpoint) addr() netip.AddrPort { return e.Info().Local }

// port returns the socket's port at an address of the host.
func (e *endpoint) port(host string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), e.addr().Port())
}

// watch ends a test that waits for something that does not happen. The returned function ends the watch.
func (e *endpoint) watch() (stop func()) {
	timer := time.AfterFunc(patience, e.Interrupt)
	return func() { timer.Stop() }
}

// receive returns the next n datagrams.
func (e *endpoint) receive(n int) []datagram {
	e.t.Helper()
	defer e.watch()()
	for len(e.got) < n {
		if err := e.Receive(&e.batch); err != nil {
			e.t.Fatalf("receive, with %d of %d datagrams: %v", len(e.got), n, err)
		}
		e.take()
	}
	ds := e.got[:n:n]
	e.got = e.got[n:]
	return ds
}

// take splits the messages of the latest Receive into datagrams.
func (e *endpoint) take() {
	e.t.Helper()
	if len(e.batch.Messages) == 0 {
		e.t.Fatal("Receive brought nothing")
	}
	if e.batch.ControlErrors != 0 {
		e.t.Errorf("%d control errors", e.batch.ControlErrors)
	}
	for _, m := range e.batch.Messages {
		size := m.SegmentSize
		for range batch.Segments(len(m.Payload), m.SegmentSize) {
			d := datagram{m}
			d.Chunk, d.SegmentSize = nil, 0
			if size > 0 {
				d.Payload = m.Payload[:min(size, len(m.Payload))]
				m.Payload = m.Payload[len(d.Payload):]
			}
			d.Payload = bytes.Clone(d.Payload)
			e.got = append(e.got, d)
		}
	}
}

// expect receives datagrams with the payloads, in this order.
func (e *endpoint) expect(payloads ...[]byte) []datagram {
	e.t.Helper()
	got := e.receive(len(payloads))
	for i, want := range payloads {
		if !bytes.Equal(got[i].Payload, want) {
			e.t.Fatalf("datagram %d of %d is %s, want %s", i, len(payloads), show(got[i].Payload), show(want))
		}
		if got[i].Truncated {
			e.t.Errorf("datagram %d of %d bytes is truncated", i, len(want))
		}
	}
	return got
}

func show(payload []byte) string {
	if len(payload) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", payload[:40], len(payload))
	}
	return fmt.Sprintf("%q", payload)
}

// send sends all the datagrams.
func (e *endpoint) send(ds ...socket.Outgoing) {
	e.t.Helper()
	if i, err := e.try(ds); err != nil {
		e.t.Fatalf("send datagram %d of %d: %v", i, len(ds), err)
	}
}

// try sends until a datagram fails.
func (e *endpoint) try(ds []socket.Outgoing) (int, error) {
	e.t.Helper()
	for sent := 0; sent < len(ds); {
		n, err := e.Send(ds[sent:], true)
		if n < 0 || n > len(ds)-sent || n == len(ds)-sent && err != nil {
			e.t.Fatalf("Send of %d datagrams returned %d, %v", len(ds)-sent, n, err)
		}
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return len(ds), nil
}

// to returns datagrams to one destination.
func to(addr netip.AddrPort, payloads ...[]byte) []socket.Outgoing {
	ds := make([]socket.Outgoing, len(payloads))
	for i, p := range payloads {
		ds[i] = socket.Outgoing{Addr: addr, Payload: p}
	}
	return ds
}

// pattern returns a payload of n bytes, different for each number.
func pattern(n, number int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(number + i + i>>8)
	}
	return p
}
