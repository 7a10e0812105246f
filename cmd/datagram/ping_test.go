package main

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// It measures any echo: here, socat's.
func TestPingSocat(t *testing.T) {
	t.Parallel()
	socat, port := testenv.Program(t, "socat"), freePort(t)
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	server := exec.CommandContext(ctx, socat, "UDP4-LISTEN:"+port+",bind=127.0.0.1,fork", "PIPE")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	var out string
	for { // until socat listens
		if ctx.Err() != nil {
			t.Fatal("no answer from socat\n", out)
		}
		var code int
		out, code = program.Run(t, "", tool(t), "ping", "--count", "2", "--timeout", "100ms", "127.0.0.1:"+port)
		if code == 0 && strings.Contains(out, " from 127.0.0.1:"+port+" after ") {
			return
		}
	}
}

// Loss, reordering and duplication are told apart.
func TestPingCounts(t *testing.T) {
	t.Parallel()
	conn := loopback(t)
	go func() {
		answer := func(request []byte, to netip.AddrPort) { _, _ = conn.WriteToUDPAddrPort(request, to) }
		var held []byte
		for {
			b := make([]byte, 1000)
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			b = b[:n]
			switch binary.BigEndian.Uint64(b[16:]) {
			case 0: // lost
			case 1:
				held = b
			case 2:
				answer(b, from)
				answer(held, from) // reordered
			case 3:
				answer(b, from)
				answer(b, from) // duplicated
				answer([]byte("nonsense"), from)
			default:
				answer(b, from)
			}
		}
	}()
	out := expect(t, 0, "ping", "-o", "json", "--count", "5", "--interval", "1ms", "--timeout", "3s", conn.LocalAddr().String())
	got := decode[pingResult](t, "summary", last(out))
	want := counts{Sent: 5, Answered: 4, Lost: 1, Reordered: 1, Duplicates: 1}
	if got.counts != want {
		t.Errorf("got %+v, want %+v\n%s", got.counts, want, out)
	}
	if r := got.RoundTrips; r.Min <= 0 || r.Min > r.Median || r.Median > r.P99 || r.P99 > r.Max || r.Max > time.Minute {
		t.Errorf("round trips %+v", r)
	}
	if !strings.Contains(out, `{"lost":{"number":0}}`) {
		t.Error(out)
	}
}

func TestPingNobody(t *testing.T) {
	t.Parallel()
	conn := loopback(t) // never answers
	out := expect(t, codeShortfall, "ping", "--count", "2", "--interval", "1ms", "--timeout", "10ms", conn.LocalAddr().String())
	if !strings.HasSuffix(out, "datagram ping: no answer from "+conn.LocalAddr().String()+"\n") || !strings.Contains(out, "2 lost (100 %)") {
		t.Error(out)
	}
	out = expect(t, codeShortfall, "ping", "--count", "2", "--interval", "1ms", "--timeout", "10ms", "127.0.0.1:"+freePort(t))
	if !strings.Contains(out, "connection refused") {
		t.Error(out)
	}
}

// On a terminal, one view is redrawn until the result replaces it.
func TestPingOnTerminal(t *testing.T) {
	t.Parallel()
	script := testenv.Program(t, "script")
	_, echo := serve(t, "echo", "127.0.0.1:0")
	out, code := program.Run(t, "", script, "-qec", "stty cols 40 && "+tool(t)+" ping --count 20 --interval 50ms --timeout 1m "+echo, "/dev/null")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	frames := strings.Split(out, "\x1b[6A\r\x1b[J")
	if len(frames) < 3 {
		t.Fatalf("not redrawn: %q", out)
	}
	for _, frame := range frames[:len(frames)-1] {
		lines := strings.Split(strings.TrimSuffix(frame, "\r\n"), "\r\n")
		if len(lines) != 6 || !strings.HasPrefix(lines[0], "ping "+echo) {
			t.Errorf("frame %q", lines)
		}
		for _, line := range lines {
			if len([]rune(line)) > 40 {
				t.Errorf("%q does not fit", line)
			}
		}
	}
	if result := frames[len(frames)-1]; !strings.HasPrefix(result, "20 requests") || strings.Contains(result, "latest") {
		t.Errorf("result %q", result)
	}
}
