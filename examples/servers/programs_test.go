// Package servers_test tests what all examples have in common: how they take bad input, and how they end.
package servers_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// servers are the programs, with arguments that make them listen on an address. Chat and mdns share a group's port with
// others instead.
var servers = map[string]func(t *testing.T, address string) []string{
	"dns":      func(_ *testing.T, address string) []string { return []string{"-listen", address, "127.0.0.1:9"} },
	"sntp":     func(_ *testing.T, address string) []string { return []string{"-listen", address} },
	"syslog":   func(_ *testing.T, address string) []string { return []string{"-listen", address} },
	"statsd":   func(_ *testing.T, address string) []string { return []string{"-listen", address} },
	"coap":     func(_ *testing.T, address string) []string { return []string{"-listen", address} },
	"transfer": func(t *testing.T, address string) []string { return []string{"receive", t.TempDir(), address} },
	"echo":     func(_ *testing.T, address string) []string { return []string{address} },
	"upgrade":  func(_ *testing.T, address string) []string { return []string{"-listen", address} },
}

func TestPrograms(t *testing.T) {
	paths := make(map[string]string) // built once for all tests
	for _, dir := range []string{"dns", "sntp", "syslog", "statsd", "coap", "transfer", "chat", "mdns", "../echo", "../upgrade", "../quickstart"} {
		paths[filepath.Base(dir)] = program.BuildIn(t, dir)
	}
	t.Run("command lines", func(t *testing.T) { testCommandLines(t, paths) })
	t.Run("port in use", func(t *testing.T) { testPortInUse(t, paths) })
	t.Run("signals", func(t *testing.T) { testSignals(t, paths) })
	t.Run("full output", func(t *testing.T) { testFullOutput(t, paths) })
	t.Run("closed output", func(t *testing.T) { testClosedOutput(t, paths) })
}

func testCommandLines(t *testing.T, paths map[string]string) {
	for name := range paths {
		program.Fails(t, 2, name+": flag provided but not defined: -unknown", paths[name], "-unknown")
		if name != "echo" { // takes any number
			program.Fails(t, 2, name+`: unexpected argument "d"`, paths[name], strings.Fields("a b c d")[3-arguments[name]:]...)
		}
		out, code := program.Run(t, "", paths[name], "-help")
		if code != 0 || !strings.HasPrefix(out, "Usage: "+name) {
			t.Errorf("%s -help: exit code %d\n%s", name, code, out)
		}
	}
	for _, test := range []struct {
		code       int
		args, says string
	}{
		{2, "dns", "missing argument: upstream"},
		{2, "transfer", "missing argument: send|receive"},
		{2, "transfer send", "missing argument: path"},
		{1, "dns nowhere", "missing port"},
		{1, "dns no..host:53", "no..host"},
		{2, "dns -cache 0 127.0.0.1:53", "cache of 0"},
		{2, "sntp -stratum 16", "stratum 16"},
		{1, "sntp -listen nonsense", "missing port"},
		{1, "sntp -listen 127.0.0.1:99999", "99999"},
		{1, "syslog -listen no..host:514", "no..host"},
		{1, "syslog -listen 192.0.2.1:5514", "192.0.2.1:5514"},
		{2, "syslog -buffer -1", "-1"},
		{2, "statsd -interval x", "interval"},
		{2, "statsd -interval 0s", "interval 0s"},
		{2, "coap -listen", "needs an argument"},
		{2, "transfer eat . 127.0.0.1:1", "eat"},
		{1, "transfer send nothing 127.0.0.1:1", "nothing"},
		{1, "transfer receive nowhere 127.0.0.1:0", "nowhere"},
		{2, "chat -name a -group nonsense", "nonsense"},
		{2, "chat -name a -group 192.0.2.1:7", "not a multicast group"},
		{1, "chat -name a -interface nosuch", "interface nosuch"},
		{2, "chat -name=", "name"},
		{2, "mdns -name a.b", "a.b"},
		{2, "mdns -name a -port 0", "port 0"},
		{2, "upgrade -n -1", "-n is -1"},
		{2, "upgrade -deadline -1s", "-deadline is -1s"},
		{1, "upgrade -n 99999 -listen 127.0.0.1:0", "99999"},
		{1, "upgrade -listen nonsense", "missing port"},
		{1, "upgrade -listen no..host:7", "no..host"},
	} {
		args := strings.Fields(test.args)
		program.Fails(t, test.code, test.says, paths[args[0]], args[1:]...)
	}
}

// arguments are how many arguments a program takes, if any.
var arguments = map[string]int{"dns": 1, "transfer": 3}

func testPortInUse(t *testing.T, paths map[string]string) {
	taken := conntest.Loopback(t).LocalAddr().String()
	for name, args := range servers {
		program.Fails(t, 1, "listen udp "+taken, paths[name], args(t, taken)...)
	}
}

// Both signals end a server orderly.
func testSignals(t *testing.T, paths map[string]string) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send a signal to one process")
	}
	for name, args := range servers {
		for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			server := program.Start(t, paths[name], args(t, "127.0.0.1:0")...)
			line := strings.Fields(server.Line())
			address := line[len(line)-1]
			server.Signal(signal)
			out, code := server.Wait()
			if code != 0 || strings.Contains(out, "goroutine") || strings.Count(out, "\n") > 1 {
				t.Errorf("%s after %v: exit code %d\n%s", name, signal, code, out)
			}
			conn, err := net.ListenPacket("udp", address)
			if err != nil {
				t.Errorf("%s after %v: the port is not free: %v", name, signal, err)
				continue
			}
			conn.Close()
		}
	}
}

// Output that cannot be written ends a program.
func testFullOutput(t *testing.T, paths map[string]string) {
	failsToPrint(t, paths, program.FullDevice(t), "no space left")
}

// A closed pipe is an error like others, and not the signal that would end a program with datagrams in its queue.
func testClosedOutput(t *testing.T, paths map[string]string) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	failsToPrint(t, paths, w, "pipe")
}

// failsToPrint runs the programs with a standard output that takes nothing.
func failsToPrint(t *testing.T, paths map[string]string, stdout *os.File, says string) {
	t.Helper()
	for name, args := range servers {
		program.FailsToPrint(t, stdout, says, paths[name], args(t, "127.0.0.1:0")...)
	}
}
