package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// start runs the server on addresses and returns the addresses that it listens on.
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

// stop ends the server as a user does, and returns the output.
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

// loopbacks are the addresses to listen on: IPv4 and, if the machine has it, IPv6.
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

// The server answers programs that do not use this package.
func TestRealClients(t *testing.T) {
	server, listening := start(t, loopbacks(t)...)
	received := make(map[string]int)
	for name, command := range map[string]func(host, port string) []string{
		"nc": func(host, port string) []string {
			return []string{"-u", "-w20", host, port} // is ended once it has answered
		},
		"socat": func(host, port string) []string {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			return []string{"-t20", "-T20", "-", "UDP:" + net.JoinHostPort(strings.Trim(host, "[]"), port)}
		},
	} {
		for _, addr := range listening {
			t.Run(name+" "+addr, func(t *testing.T) {
				client := testenv.Program(t, name)
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

// expectEcho runs a client that sends a datagram from its input and prints the answer, and waits
// for that.
func expectEcho(t *testing.T, path string, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	const message = "hello from outside\n"
	client := exec.CommandContext(ctx, path, args...)
	stdin, err := client.StdinPipe() // stays open, since a client may exit at its end
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

// A wildcard address serves both families, and -verbose prints who asked.
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

// What has been received when a signal comes is answered.
func TestSignalUnderLoad(t *testing.T) {
	server, listening := start(t, "127.0.0.1:0")
	client, err := net.Dial("udp", listening[0])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := client.Write([]byte("hello")); err != nil {
				return // refused, since the server has ended
			}
		}
	}()
	if _, err := client.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out := stop(t, server, syscall.SIGTERM)
	<-ended
	var received, answered, atTheEnd int
	match := regexp.MustCompile(`received (\d+), answered (\d+), .* (\d+) at the end`).FindStringSubmatch(out)
	if match == nil {
		t.Fatal(out)
	}
	for i, n := range []*int{&received, &answered, &atTheEnd} {
		*n, _ = strconv.Atoi(match[i+1])
	}
	if received == 0 || answered != received || atTheEnd != 0 {
		t.Error(out)
	}
}

// A datagram that cannot be printed is answered all the same, and ends the server.
func TestClosedPipe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the error of Windows has another text")
	}
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program.Build(t), "-verbose", "127.0.0.1:0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var address string
	if _, err := fmt.Fscanf(r, "listening on %s\n", &address); err != nil {
		t.Fatal(err)
	}
	r.Close()
	client, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	if n, err := client.Read(answer); err != nil || string(answer[:n]) != "hello" {
		t.Errorf("answer %q, %v", answer[:n], err)
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "broken pipe") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
}

func TestFailures(t *testing.T) {
	echo := program.Build(t)
	for _, test := range []struct {
		code       int
		args, says string
	}{
		{2, "", "missing argument: [host]:port"},
		{2, "-rate -1 :0", "-rate is -1"},
		{2, "-rate NaN :0", "-rate is NaN"},
		{2, "-deadline -1s :0", "-deadline is -1s"},
		{1, "127.0.0.1:0 nonsense", "missing port"},
		{1, "no..host:7", "no..host"},
		{1, ":99999", "99999"},
		{1, "-network tcp :0", "unknown network tcp"},
	} {
		program.Fails(t, test.code, test.says, echo, strings.Fields(test.args)...)
	}
}
