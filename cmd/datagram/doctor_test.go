package main

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// diagnose runs doctor and returns what it finds.
func diagnose(t *testing.T, args ...string) []finding {
	t.Helper()
	out, code := program.Run(t, "", tool(t), append([]string{"doctor", "-o", "json"}, args...)...)
	var findings []finding
	bad := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "datagram doctor: ") { // the error
			continue
		}
		f := decode[finding](t, "finding", line)
		findings = append(findings, f)
		if !f.OK {
			bad++
		}
	}
	if want := map[bool]int{true: codeShortfall}[bad > 0]; code != want || len(findings) == 0 {
		t.Fatalf("exit code %d, want %d\n%s", code, want, out)
	}
	return findings
}

func TestDoctor(t *testing.T) {
	testenv.AllOffloads(t)
	_, echo := serve(t, "echo", "127.0.0.1:0")
	findings := diagnose(t, echo)
	checks := make(map[string]finding)
	for _, f := range findings {
		checks[f.Check] = f
	}
	for _, check := range []string{"system", "batches", "GSO", "GRO", "metadata", "transfer", "ECN, IPv4", loopbackName(t), "path"} {
		if checks[check].Detail == "" {
			t.Errorf("no finding of %s in %v", check, slices.Sorted(maps.Keys(checks)))
		}
	}
	if f := checks["transfer"]; !f.OK {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(checks["path"].Detail, echo) {
		t.Errorf("%+v", checks["path"])
	}
}

// All datagrams of the transfer count as sent, also those that arrive before the call that sends them returns.
func TestTransferCounts(t *testing.T) {
	t.Parallel()
	for range 300 {
		sent, received, err := transfer(t.Context(), make([]datagram.Datagram, 32))
		if err != nil {
			t.Fatal(err)
		}
		if sent.Queued > 0 || sent.Sent != 32 || received.Received > 32 {
			t.Fatalf("sent %v, received %v", sent, received)
		}
	}
}

func TestDoctorFindsDisabledOffloads(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	t.Setenv("DATAGRAM_OFFLOAD", "none")
	for _, f := range diagnose(t) {
		if f.Check == "GSO" && (f.OK || f.Fix != "unset DATAGRAM_OFFLOAD") {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctorFindsLossySocket(t *testing.T) {
	if _, err := os.Stat("/proc/net/udp"); err != nil {
		t.Skip("the system does not count drops")
	}
	t.Parallel()
	conn := loopback(t)
	address := conn.LocalAddr().String()
	client := dialTo(t, address)
	lose := func() {
		for range 1000 {
			if _, err := client.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for !lossyAt(t, address) {
		lose()
	}
	for tries := 0; ; tries++ { // only the worst sockets of the host are reported
		findings := diagnose(t)
		if slices.ContainsFunc(findings, func(f finding) bool {
			return f.Check == "losses" && !f.OK && strings.HasPrefix(f.Detail, address+" (datagram.test ")
		}) {
			return
		}
		if tries == 20 {
			out, _ := json.Marshal(findings)
			t.Fatalf("not found: %s", out)
		}
		for range 20 {
			lose()
		}
	}
}

func TestParseSockets(t *testing.T) {
	t.Parallel()
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
	const little = " 1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11 2 0000000060fc37ee 7\n" +
		" 2: 0200007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0000000060fc37ee 0\n" +
		" 3: 00000000000000000000000001000000:FFFF 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 13 2 0 18446744073709551615\n" +
		"nonsense\n 4: x y z 4 5 6 7 8 9 10 11 12 13\n 5: 0100:1 00:0 07 0:0 00:0 0 0 0 14 2 0 5\n"
	if runtime.GOARCH == "s390x" {
		t.Skip("the addresses of the example are little-endian")
	}
	got := parseSockets(head + little)
	want := []lossySocket{
		{local: netip.MustParseAddrPort("127.0.0.1:53"), inode: "11", drops: 7},
		{local: netip.MustParseAddrPort("[::1]:65535"), inode: "13", drops: 1<<64 - 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const snmp = "Ip: Forwarding DefaultTTL\nIp: 1 64\n" +
		"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n" +
		"Udp: 1 2 3 4 5 6 7 8 9\nUdpLite: InDatagrams RcvbufErrors\nUdpLite: 0 70\n"
	got := slices.Sorted(maps.Values(parseErrors(snmp)))
	if !slices.Equal(got, []uint64{5, 6, 7, 9}) {
		t.Errorf("got %v", got)
	}
}

func TestParseFeature(t *testing.T) {
	t.Parallel()
	const listed = "Features for eth0:\nrx-checksumming: on [fixed]\n\ttx-udp-segmentation: off\ntx-x: off [fixed]\n"
	for feature, want := range map[string]string{
		segmentation:      "off",
		"rx-checksumming": "on [fixed]",
		"tx-udp":          "",
	} {
		if got := parseFeature(listed, feature); got != want {
			t.Errorf("%s: %q, want %q", feature, got, want)
		}
	}
}
