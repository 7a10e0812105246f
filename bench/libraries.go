package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/library"
	"example.com/datagram/bench/internal/report"
)

// libraries returns the workloads of libraries that take a connection. Most count KiB.
func (g generator) libraries() []workload {
	metrics := []string{report.Rate, report.CPU, report.Allocs}
	quic, packet := []string{report.Baseline, "datagram-udpconn"}, []string{report.Baseline, "datagram-packetconn"}
	return []workload{
		{
			name: "quic1", title: "quic-go, streams of 100 MB one after the other, in KiB", metrics: metrics,
			args: child.Args{Role: library.QUIC, Count: 1, Size: 100_000_000}, measure: (*meter).library, only: quic,
		},
		{
			name: "quic200", title: "quic-go, 200 streams of 200 kB at a time, in KiB", metrics: metrics,
			args: child.Args{Role: library.QUIC, Count: 200, Size: 200_000}, measure: (*meter).library, only: quic,
		},
		{
			name: "kcp", title: "kcp-go, one session, in KiB", metrics: metrics,
			args: child.Args{Role: library.KCP, Size: 64 << 10}, measure: (*meter).library, only: packet,
		},
		{
			name: "dns", title: "miekg/dns, 20 clients of dnsperf, in queries", metrics: metrics,
			args: child.Args{Role: library.DNS}, measure: (*meter).dns, only: packet,
		},
	}
}

// library measures a library that sends to itself.
func (m *meter) library(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	p, err := m.start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer p.kill()
	begin, end, err := m.between(p)
	if err != nil {
		return nil, err
	}
	if _, err := p.stop(); err != nil {
		return nil, err
	}
	d := since(begin[0], end[0])
	f := report.Figures{report.Rate: d.rate(), report.CPU: d.cpu / d.received}
	m.addKernel(f, d.received, d)
	return d.addAllocs(f, report.Allocs, d.received), nil
}

var (
	dnsperfCompleted = regexp.MustCompile(`Queries completed: +(\d+)`)
	dnsperfRate      = regexp.MustCompile(`Queries per second: +([\d.]+)`)
)

// dns measures a DNS server with dnsperf, which runs for whole seconds.
func (m *meter) dns(ctx context.Context, c contender, a child.Args) (report.Figures, error) {
	server, err := m.start(ctx, c.argv(a))
	if err != nil {
		return nil, err
	}
	defer server.kill()
	host, port, err := net.SplitHostPort(server.ready.Addr)
	if err != nil {
		return nil, err
	}
	queries, err := os.CreateTemp("", "queries")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(queries.Name()) }()
	_, err = queries.WriteString("www.example.org A\n")
	if err := errors.Join(err, queries.Close()); err != nil {
		return nil, err
	}
	begin, err := server.mark()
	if err != nil {
		return nil, err
	}
	seconds := max(1, int(m.duration.Round(time.Second)/time.Second))
	dnsperf := exec.CommandContext(ctx, "dnsperf", "-s", host, "-p", port, "-c", "20", "-l", strconv.Itoa(seconds), "-d", queries.Name())
	out, err := dnsperf.Output()
	if err != nil {
		return nil, fmt.Errorf("dnsperf: %w", err)
	}
	end, err := server.mark()
	if err != nil {
		return nil, err
	}
	if _, err := server.stop(); err != nil {
		return nil, err
	}
	n, err := number(dnsperfCompleted, out)
	if err != nil {
		return nil, err
	}
	rate, err := number(dnsperfRate, out)
	if err != nil {
		return nil, err
	}
	d := since(begin, end)
	f := report.Figures{report.Rate: rate, report.CPU: d.cpu / n}
	m.addKernel(f, n, d)
	return d.addAllocs(f, report.Allocs, n), nil
}

// number returns the number that an expression finds.
func number(e *regexp.Regexp, text []byte) (float64, error) {
	found := e.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("dnsperf did not print %q", e)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
