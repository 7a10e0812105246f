package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/examples/internal/program"
)

// start runs the server on addresses and returns where it listens.
func start(t *testing.T, args ...string) (server *program.Process, listening []string) {
	t.Helper()
	server = program.Start(t, program.Build(t), args...)
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			listening = append(listening, server.After("listening on "))
		}
	}
	return server, listening
}

// stop ends the server as a user does, and returns what it prints then.
func stop(t *testing.T, server *program.Process, signal os.Signal) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send a signal to one process")
	}
	server.Signal(signal)
	out, code := server.Wait()
	if code != 0 {
		t.Errorf("exit code %d after %v\n%s", code, signal, out)
	}
	return out
}

// loopbacks are the addresses to listen on, IPv4 and, if the machine has it, IPv6.
func loopbacks(t *testing.T) []string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		if os.Getenv("DATAGRAM_CI") == "1" {
			t.Fatal(err)
		}
		t.Log("no IPv6:", err)
		return []string{"127.0.0.1:0"}
	}
	conn.Close()
	return []string{"127.0.0.1:0", "[::1]:0"}
}

// Programs that know nothing of this package are answered.
func TestRealClients(t *testing.T) {
	server, listening := start(t, loopbacks(t)...)
	received := make(map[string]int)
	for name, command := range map[string]func(host, port string) []string{
		"nc": func(host, port string) []string {
			return []string{"-u", "-w1", host, port} // ends a second after the last datagram
		},
		"socat": func(host, port string) []string {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			return []string{"-t2", "-T2", "-", "UDP:" + net.JoinHostPort(strings.Trim(host, "[]"), port)}
		},
	} {
		for _, addr := range listening {
			t.Run(name+" "+addr, func(t *testing.T) {
				client := program.Need(t, name)
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					t.Fatal(err)
				}
				expectEcho(t, client, command(host, port))
				received[addr]++
			})
		}
	}
	out := stop(t, server, os.Interrupt)
	for addr, n := range received {
		want := addr + ": received " + strconv.Itoa(n) + ", answered " + strconv.Itoa(n) + ", failed 0, refused 0; dropped: 0 by the system, 0 at the end\n"
		if !strings.Contains(out, want) {
			t.Errorf("no line %qin\n%s", want, out)
		}
	}
}

// expectEcho runs a client, whose input and output are a datagram each, until the answer
// has come.
func expectEcho(t *testing.T, path string, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	const message = "hello from outside\n"
	client := exec.CommandContext(ctx, path, args...)
	stdin, err := client.StdinPipe() // stays open: a client may leave at its end
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	client.Stderr = &stderr
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
	answer := make([]byte, 100)
	n, err := stdout.Read(answer)
	if err != nil || string(answer[:n]) != message {
		t.Fatalf("answer %q, %v; want %q\n%s", answer[:n], err, message, &stderr)
	}
}

// A wildcard address serves both families, and -verbose tells who asked.
func TestWildcard(t *testing.T) {
	server, listening := start(t, "-verbose", ":0")
	_, port, err := net.SplitHostPort(listening[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, loopback := range loopbacks(t) {
		host, _, _ := net.SplitHostPort(loopback)
		client, err := net.Dial("udp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 100)
		if n, err := client.Read(answer); err != nil || string(answer[:n]) != "hello" {
			t.Fatalf("answer %q, %v", answer[:n], err)
		}
		if got, want := server.Line(), client.LocalAddr().String()+`: "hello"`; got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
	stop(t, server, syscall.SIGTERM)
}

func TestFailures(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	echo := program.Build(t)
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "Usage"},
		{"-unknown", 2, "Usage"},
		{taken.LocalAddr().String(), 1, "listen"},
		{"127.0.0.1:0 nonsense", 1, "missing port"},
		{"-network tcp :0", 1, "tcp"},
	} {
		out, code := program.Run(t, "", echo, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("echo %s: exit code %d, want %d with %q\n%s", test.args, code, test.code, test.says, out)
		}
	}
}
