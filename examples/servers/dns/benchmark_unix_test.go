//go:build unix

package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// BenchmarkDnsperf compares the forwarder with the same on net.UDPConn. The answers come from the cache. With fewer threads and
// questions at a time dnsperf is slower than either.
//
//	go test -run '^$' -bench Dnsperf -benchtime 1x -count 5 ./dns
func BenchmarkDnsperf(b *testing.B) {
	b.Run("net", func(b *testing.B) { benchmark(b, listenNet(b)) })
	b.Run("datagram", func(b *testing.B) {
		conn, err := datagram.Listen(b.Context(), "udp", "127.0.0.1:0", datagram.WithReadBuffer(4<<20))
		if err != nil {
			b.Fatal(err)
		}
		benchmark(b, conn)
	})
}

// A server is what the forwarder needs of a handle.
type server interface {
	Serve(ctx context.Context, handle func(datagram.Datagram)) error
	Send(ctx context.Context, d datagram.Datagram) error
	LocalAddr() netip.AddrPort
	Close() error
}

// A netServer receives and sends each datagram by a system call of its own.
type netServer struct{ conn *net.UDPConn }

func listenNet(b *testing.B) netServer {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		b.Fatal(err)
	}
	return netServer{conn}
}

func (s netServer) Serve(_ context.Context, handle func(datagram.Datagram)) error {
	buffer := make([]byte, 65535)
	for {
		n, addr, err := s.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return err
		}
		handle(datagram.To(addr, buffer[:n]))
	}
}

func (s netServer) Send(_ context.Context, d datagram.Datagram) error {
	_, err := s.conn.WriteToUDPAddrPort(d.Payload, d.Addr)
	return err
}

func (s netServer) LocalAddr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }
func (s netServer) Close() error              { return s.conn.Close() }

func benchmark(b *testing.B, s server) {
	dnsperf := testenv.Program(b, "dnsperf")
	up, err := datagram.Dial(b.Context(), "udp", newAuthority(b).address)
	if err != nil {
		b.Fatal(err)
	}
	f := newForwarder(s.Send, newUpstream(up), 10_000, func(err error) { b.Error(err) })
	go f.upstream.listen()
	served := make(chan error, 1)
	go func() { served <- s.Serve(b.Context(), f.handle) }()
	defer func() { s.Close(); <-served; f.asking.Wait(); up.Close() }()

	var questions strings.Builder
	for i := range 100 {
		questions.WriteString("host" + strconv.Itoa(i) + ".example.org A\n")
	}
	file := filepath.Join(b.TempDir(), "questions")
	if err := os.WriteFile(file, []byte(questions.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	host, port, err := net.SplitHostPort(s.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	var completed, rate, latency float64
	before := processorTime(b)
	for b.Loop() {
		out, code := program.Run(b, "", dnsperf, "-s", host, "-p", port, "-d", file, "-l", "2", "-c", "20", "-T", "2", "-q", "400")
		if code != 0 {
			b.Fatalf("exit code %d\n%s", code, out)
		}
		completed += number(b, out, `Queries completed: +(\d+)`)
		rate += number(b, out, `Queries per second: +([\d.]+)`)
		latency += number(b, out, `Average Latency \(s\): +([\d.]+)`)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate/float64(b.N), "queries/s")
	b.ReportMetric(latency/float64(b.N)*1e6, "µs-latency")
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/completed, "cpu-ns/query")
}

// number returns the number that an expression finds.
func number(b *testing.B, text, expression string) float64 {
	found := regexp.MustCompile(expression).FindStringSubmatch(text)
	if found == nil {
		b.Fatalf("no %q in\n%s", expression, text)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// processorTime returns what this process has used.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
