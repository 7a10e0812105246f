package main

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// A program that does not use the package receives from it.
func TestSendToSocat(t *testing.T) {
	t.Parallel()
	socat, port := testenv.Program(t, "socat"), freePort(t)
	p := program.Start(t, socat, "-u", "UDP4-RECV:"+port+",bind=127.0.0.1", "STDOUT")
	received := make(chan string, 1)
	go func() { received <- p.Line() }()
	for { // until socat listens
		expect(t, 0, "send", "127.0.0.1:"+port, "hello socat\n")
		select {
		case line := <-received:
			if line != "hello socat" {
				t.Errorf("received %q", line)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestSendLines(t *testing.T) {
	t.Parallel()
	conn := loopback(t)
	address := conn.LocalAddr().String()
	out, code := program.Run(t, "one\n\nthree", tool(t), "send", "-o", "json", "--every", "0", address)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if s := decode[sendResult](t, "summary", out); s.To != address || s.Accepted != 3 || s.Sent != 3 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	for _, want := range []string{"one", "", "three"} {
		if got := read(t, conn); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestSendLongLine(t *testing.T) {
	t.Parallel()
	conn := loopback(t)
	input := "short\n" + strings.Repeat("x", maxPayload) + "\n" + strings.Repeat("x", maxPayload+1) + "\n"
	out, code := program.Run(t, input, tool(t), "send", conn.LocalAddr().String())
	if code != codeFailed || !strings.Contains(out, "line 3 does not fit") || !strings.Contains(out, "sent 2 of 2") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for _, want := range []int{len("short"), maxPayload} {
		if got := read(t, conn); len(got) != want {
			t.Errorf("received %d bytes, want %d", len(got), want)
		}
	}
}

// A signal ends reading, and what was accepted before it is sent.
func TestSendInterrupted(t *testing.T) {
	needSignals(t)
	t.Parallel()
	conn := loopback(t)
	cmd := exec.CommandContext(t.Context(), tool(t), "send", "--every", "0", conn.LocalAddr().String())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, conn); got != "a line" {
		t.Errorf("received %q", got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	want := "sent 1 of 1 datagram to " + conn.LocalAddr().String() + "\ndatagram send: ended by a signal: terminated\n"
	if code := cmd.ProcessState.ExitCode(); code != 143 || out.String() != want {
		t.Errorf("exit code %d, printed %q, want %q", code, &out, want)
	}
}

// If nobody reads what it prints, it sends all the same.
func TestSendClosedOutput(t *testing.T) {
	needSignals(t)
	t.Parallel()
	conn := loopback(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd := exec.CommandContext(t.Context(), tool(t), "send", conn.LocalAddr().String(), "hello")
	cmd.Stdout = w
	_ = cmd.Run()
	w.Close()
	if code := cmd.ProcessState.ExitCode(); code != codeOutputClosed {
		t.Errorf("exit code %d", code)
	}
	if got := read(t, conn); got != "hello" {
		t.Errorf("received %q", got)
	}
}

func TestSendBroadcast(t *testing.T) {
	t.Parallel()
	p, address := serve(t, "listen", "--reuse", "--network", "udp4", "--count", "1", "0")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	to := "127.255.255.255:" + port
	if out := expect(t, codeFailed, "send", to, "hello"); !strings.Contains(out, "needs --broadcast") {
		t.Errorf("printed %q", out)
	}
	expect(t, 0, "send", "--broadcast", to, "hello")
	if rest, code := p.Wait(); code != 0 || !strings.HasSuffix(rest, ` to 127.255.255.255: "hello"`+"\n") {
		t.Errorf("exit code %d, printed %q", code, rest)
	}
}
