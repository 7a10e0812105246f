package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"example.com/datagram/internal/testing/testenv"
)

// Programs that do not use the package get answers, over both families.
func TestEchoToOthers(t *testing.T) {
	needSignals(t)
	testenv.NeedIPv6(t)
	p, first := serveJSON(t, "echo", "127.0.0.1:0", "[::1]:0")
	addresses := []string{first, decode[listening](t, "listening", p.Line()).Address}
	answered := uint64(0)
	for name, command := range map[string]func(host, port string) []string{
		"nc":    func(host, port string) []string { return []string{"-u", host, port} },
		"socat": func(host, port string) []string { return []string{"-", "UDP:" + net.JoinHostPort(host, port)} },
	} {
		for _, address := range addresses {
			t.Run(name+" "+address, func(t *testing.T) {
				host, port, err := net.SplitHostPort(address)
				if err != nil {
					t.Fatal(err)
				}
				expectEcho(t, exec.CommandContext(t.Context(), testenv.Program(t, name), command(host, port)...))
				answered++ // unless there is no such program
			})
		}
	}
	if s := decode[traffic](t, "summary", last(stop(t, p, syscall.SIGTERM, 0))); s.Received != answered || s.Sent != answered || s.Failed != 0 || s.Lost != 0 {
		t.Errorf("%+v, want %d answers", s, answered)
	}
}

// expectEcho runs a client that sends a line of its input and prints the answer.
func expectEcho(t *testing.T, client *exec.Cmd) {
	t.Helper()
	const message = "hello from outside\n"
	stdin, err := client.StdinPipe() // stays open, since a client may exit at its end
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = client.Process.Kill()
		_ = client.Wait()
	}()
	if _, err := stdin.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len(message))
	if n, err := io.ReadFull(stdout, answer); err != nil || string(answer) != message {
		t.Fatalf("answer %q, %v", answer[:n], err)
	}
}

// --rate limits the answers.
func TestEchoRate(t *testing.T) {
	needSignals(t)
	t.Parallel()
	p, address := serveJSON(t, "echo", "--rate", "0.001", "127.0.0.1:0")
	client := dialTo(t, address)
	for range 3 {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, client); got != "x" {
		t.Errorf("answer %q", got)
	}
	s := decode[traffic](t, "summary", last(stop(t, p, os.Interrupt, 0)))
	if s.Received < 1 || s.Received > 3 || s.Sent != 1 {
		t.Errorf("%+v", s)
	}
}

// What was received before a signal is answered, in the middle of a flood too.
func TestEchoAnswersBeforeItEnds(t *testing.T) {
	needSignals(t)
	t.Parallel()
	p, address := serveJSON(t, "echo", "127.0.0.1:0")
	start(t, "bench", "--sink", "--duration", "1h", "--every", "0", address)
	client := dialTo(t, address)
	for err := io.EOF; err != nil; { // the flood may displace it
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := client.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err = client.Read(make([]byte, 10))
	}
	s := decode[traffic](t, "summary", last(stop(t, p, os.Interrupt, 0)))
	if s.Received == 0 || s.Sent != s.Received || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}
