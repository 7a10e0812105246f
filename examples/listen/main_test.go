package main

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"example.com/datagram/examples/internal/program"
)

// Groups and broadcast are tested with the program that sends to them, ../send.

// start runs the program and returns the port that it listens on.
func start(t *testing.T, args ...string) (listener *program.Process, port string) {
	t.Helper()
	listener = program.Start(t, program.Build(t), append([]string{"-port", "0"}, args...)...)
	_, port, err := net.SplitHostPort(strings.TrimSpace(listener.After("listening on ")))
	if err != nil {
		t.Fatal(err)
	}
	return listener, port
}

func TestUnicast(t *testing.T) {
	listener, port := start(t, "-count", "2")
	client, err := net.Dial("udp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, text := range []string{"hello", ""} {
		if _, err := client.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, want := listener.Line(), client.LocalAddr().String()+` to 127.0.0.1: "`+text+`"`; got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
	if rest, code := listener.Wait(); code != 0 || rest != "" {
		t.Errorf("exit code %d, printed %q", code, rest)
	}
}

func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send a signal to one process")
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"", 0, ""},
		{"-count 1", 1, "0 of 1"},
	} {
		listener, _ := start(t, strings.Fields(test.args)...)
		listener.Signal(os.Interrupt)
		if out, code := listener.Wait(); code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("listen %s: exit code %d, want %d with %q\n%s", test.args, code, test.code, test.says, out)
		}
	}
}

func TestFailures(t *testing.T) {
	listen := program.Build(t)
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"extra", 2, "Usage"},
		{"-source 127.0.0.1", 2, "Usage"},
		{"-port 65536", 2, "Usage"},
		{"-port 0 -group nonsense", 1, "nonsense"},
		{"-port 0 -group 127.0.0.1", 1, "join"},
		{"-port 0 -group 239.192.7.2 -interface nonsense", 1, "nonsense"},
		{"-port 0 -group 239.192.7.2 -source nonsense", 1, "nonsense"},
	} {
		out, code := program.Run(t, "", listen, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("listen %s: exit code %d, want %d with %q\n%s", test.args, code, test.code, test.says, out)
		}
	}
}
