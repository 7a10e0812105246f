//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/load"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// A server is one of several processes that print to the same place.
type server struct {
	output  *program.Process
	pid     int
	sockets int
	address netip.AddrPort
}

// next reads what the next server prints when it receives. That server ends at the latest with the test.
func next(t *testing.T, output *program.Process) server {
	t.Helper()
	s := server{output: output}
	var address string
	line := output.Line()
	if _, err := fmt.Sscanf(line, "%d: %d sockets on %s", &s.pid, &s.sockets, &address); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	s.address = netip.MustParseAddrPort(address)
	t.Cleanup(func() { _ = syscall.Kill(s.pid, syscall.SIGKILL) })
	return s
}

func (s server) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.pid, signal); err != nil {
		t.Fatal(err)
	}
}

// answered reads what a server prints at its end.
func (s server) answered(t *testing.T) (answers uint64) {
	t.Helper()
	var received uint64
	if _, err := fmt.Sscanf(s.output.After(fmt.Sprint(s.pid, ": ")), "answered %d of %d", &answers, &received); err != nil {
		t.Fatal(err)
	}
	if answers != received {
		t.Errorf("%d answers to %d requests", answers, received)
	}
	return answers
}

func TestUpgradeUnderLoad(t *testing.T) {
	const successions, clients, between = 3, 32, 500
	output := program.Start(t, program.Build(t), "-listen", "127.0.0.1:0", "-n", "0")
	s := next(t, output)
	requests := load.Start(t, s.address, clients)
	answered := uint64(0)
	for range successions {
		requests.AwaitAnswers(between)
		s.signal(t, syscall.SIGHUP)
		successor := next(t, output)
		if successor.pid == s.pid || successor.sockets != s.sockets || successor.address != s.address {
			t.Errorf("after %+v came %+v", s, successor)
		}
		answered += s.answered(t)
		s = successor
	}
	requests.AwaitAnswers(between)
	asked := requests.End()
	s.signal(t, syscall.SIGTERM)
	if answered += s.answered(t); answered != asked {
		t.Errorf("%d answers to %d requests", answered, asked)
	}
	if rest, code := output.Wait(); rest != "" || code != 0 {
		t.Errorf("exit code %d: %s", code, rest)
	}
	requests.CheckQuiet()
}

// What arrives before systemd starts the service is answered, on all sockets with the right name.
func TestSocketActivation(t *testing.T) {
	const clients = 20
	group, err := datagram.ListenGroup(t.Context(), "udp4", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	files, err := group.Files()
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var conns []net.Conn
	for range clients {
		c, err := net.Dial("udp4", group.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("early")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}

	// The variables of sd_listen_fds(3). The shell knows the process that will be the server's.
	environment := fmt.Sprintf("LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=other%s", len(files)+1, strings.Repeat(":"+socketName, len(files)))
	output := program.StartWithFiles(t, append([]*os.File{other}, files...), "/bin/sh", "-c", environment+` exec "$0"`, program.Build(t))
	s := next(t, output)
	if s.sockets != len(files) || s.address != group.LocalAddr() {
		t.Errorf("%+v, not the sockets on %v", s, group.LocalAddr())
	}
	group.Close()
	closeAll(files)
	for _, c := range conns {
		expectEcho(t, c, "early")
	}

	s.signal(t, syscall.SIGHUP)
	successor := next(t, output)
	s.answered(t)
	for _, c := range conns {
		if _, err := c.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		expectEcho(t, c, "late")
	}
	successor.signal(t, syscall.SIGINT)
	if got := successor.answered(t); got != clients {
		t.Errorf("the successor has answered %d requests, not %d", got, clients)
	}
	output.Wait()
}

func expectEcho(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(program.Patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != want {
		t.Fatalf("read %q, %v, want %q", b[:n], err, want)
	}
}

// A successor that cannot start leaves the server as it is.
func TestUpgradeFails(t *testing.T) {
	path := program.Build(t)
	output := program.Start(t, path, "-listen", "127.0.0.1:0")
	s := next(t, output)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGHUP)
	if line := output.Line(); !strings.Contains(line, "upgrade: ") {
		t.Errorf("printed %q", line)
	}
	c, err := net.Dial("udp4", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("still there")); err != nil {
		t.Fatal(err)
	}
	expectEcho(t, c, "still there")
	s.signal(t, syscall.SIGTERM)
	s.answered(t)
	output.Wait()
}

// systemd understands the units.
func TestUnits(t *testing.T) {
	analyze := testenv.Program(t, "systemd-analyze")
	directory := t.TempDir()
	for _, unit := range []string{"upgrade.socket", "upgrade.service"} {
		text, err := os.ReadFile(filepath.Join("systemd", unit))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/upgrade"), []byte("/bin/true")) // it must exist
		if err := os.WriteFile(filepath.Join(directory, unit), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, analyze, "verify", "--man=no", filepath.Join(directory, "upgrade.socket"), filepath.Join(directory, "upgrade.service"))
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte(directory)) {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}
