package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// TestMain lets the test binary serve as the tool, which tests run as a process.
func TestMain(m *testing.M) {
	const variable = "DATAGRAM_TOOL_TEST"
	if os.Getenv(variable) != "" {
		main()
	}
	os.Setenv(variable, "1")
	os.Exit(testenv.Tests{M: m}.Run())
}

// tool is the path of the tool.
func tool(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts a command.
func start(t *testing.T, args ...string) *program.Process {
	t.Helper()
	return program.Start(t, tool(t), args...)
}

// serve starts a command that listens, and returns its address.
func serve(t *testing.T, args ...string) (p *program.Process, address string) {
	t.Helper()
	p = start(t, args...)
	address, _, _ = strings.Cut(p.After("listening on "), ",")
	return p, address
}

// serveJSON is like serve for a command that prints JSON, and nothing of its progress.
func serveJSON(t *testing.T, args ...string) (p *program.Process, address string) {
	t.Helper()
	p = start(t, append([]string{"-o", "json", "--every", "0"}, args...)...)
	return p, decode[listening](t, "listening", p.Line()).Address
}

// expect runs a command to its end and returns what it printed.
func expect(t *testing.T, code int, args ...string) (output string) {
	t.Helper()
	output, got := program.Run(t, "", tool(t), args...)
	if got != code {
		t.Fatalf("datagram %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, output)
	}
	return output
}

// stop ends a command by a signal and returns the rest of its output.
func stop(t *testing.T, p *program.Process, signal os.Signal, code int) (rest string) {
	t.Helper()
	needSignals(t)
	p.Signal(signal)
	rest, got := p.Wait()
	if got != code {
		t.Errorf("exit code %d after %v, want %d\n%s", got, signal, code, rest)
	}
	return rest
}

func needSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send a signal to one process")
	}
}

// decode returns what a line of JSON holds under the name of its kind.
func decode[T any](t *testing.T, kind, line string) (v T) {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &object); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if len(object) != 1 || object[kind] == nil {
		t.Fatalf("want an object %q, got %s", kind, line)
	}
	if err := json.Unmarshal(object[kind], &v); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return v
}

// last returns the last line of an output.
func last(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}

// loopback returns a socket of the test.
func loopback(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialTo returns a socket of the test that is connected to an address.
func dialTo(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// read returns the next datagram of a socket.
func read(t *testing.T, conn net.Conn) string {
	t.Helper()
	b := make([]byte, 65535)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// Wrong use is one line that says what is wrong, and exit code 2; failures are one line and 1.
func TestErrors(t *testing.T) {
	t.Parallel()
	taken := loopback(t).LocalAddr().String()
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"nonsense", 2, `unknown command "nonsense"`},
		{"lissten", 2, `unknown command "lissten" for "datagram"; did you mean listen (`},
		{"s", 2, "did you mean send or sink ("},
		{"--nonsense", 2, "--nonsense"},
		{"-o xml listen 1", 2, "choose text, json"},
		{"listen --every -1s 1", 2, "--every: -1s is less than 0s"},
		{"listen", 2, "want ADDRESS, got none"},
		{"listen 1 2", 2, `got ["1" "2"]`},
		{"listen :99999", 2, `port "99999" is not in 0…65535`},
		{"listen 99999", 2, `port "99999" is not in 0…65535`},
		{"listen nonsense", 2, "nonsense: missing port"},
		{"listen --count -1 0", 2, "--count: -1 is less than 0"},
		{"listen --payload x 0", 2, "choose quoted"},
		{"listen --network tcp 0", 2, "choose udp"},
		{"listen " + taken, 1, "address already in use"},
		{"listen 203.0.113.1:0", 1, "203.0.113.1:0: bind: cannot assign requested address"},
		{"listen nosuchhost.invalid:0", 1, "nosuchhost.invalid"},
		{"join", 2, "want GROUP:PORT"},
		{"join nonsense:5", 2, "nonsense"},
		{"join 1.2.3.4:5", 2, "1.2.3.4 is not a multicast address"},
		{"join --source nonsense 239.192.7.1:0", 2, "--source"},
		{"join --source ::1 --interface " + loopbackName(t) + " 239.192.7.1:0", 1, "invalid argument"},
		{"join --interface nonsense 239.192.7.1:0", 1, "interface nonsense"},
		{"send", 2, "want HOST:PORT"},
		{"send nonsense x", 2, "missing port"},
		{"send --ttl 300 127.0.0.1:9 x", 2, "--ttl: 300 is not in 0…255"},
		{"send --interface nonsense 127.0.0.1:9 x", 1, "interface nonsense"},
		{"send --interface nonsense 239.192.7.1:9 x", 1, "interface nonsense"},
		{"send nosuchhost.invalid:9 x", 1, "nosuchhost.invalid"},
		{"echo", 2, "want ADDRESS"},
		{"echo --rate -1 0", 2, "--rate: -1 is not in 0…1000000000"},
		{"echo --rate NaN 0", 2, "--rate: NaN is not in"},
		{"echo " + taken, 1, "address already in use"},
		{"echo nosuchhost.invalid:0", 1, "nosuchhost.invalid"},
		{"sink", 2, "want ADDRESS"},
		{"sink nonsense", 2, "missing port"},
		{"sink " + taken, 1, "address already in use"},
		{"sink nosuchhost.invalid:0", 1, "nosuchhost.invalid"},
		{"relay", 2, "got none"},
		{"relay 0", 2, `got ["0"]`},
		{"relay 0 nonsense", 2, "missing port"},
		{"relay --sessions 0 0 127.0.0.1:9", 2, "--sessions: 0"},
		{"relay --idle 0 0 127.0.0.1:9", 2, "--idle"},
		{"relay " + taken + " 127.0.0.1:9", 1, "address already in use"},
		{"relay nosuchhost.invalid:0 127.0.0.1:9", 1, "nosuchhost.invalid"},
		{"relay 0 nosuchhost.invalid:9", 1, "nosuchhost.invalid"},
		{"ping", 2, "got none"},
		{"ping --size 3 127.0.0.1:9", 2, "--size: 3 is not in 24…65507"},
		{"ping --interval 0 127.0.0.1:9", 2, "--interval"},
		{"ping 127.0.0.1:0", 1, "127.0.0.1:0"},
		{"ping nosuchhost.invalid:9", 1, "nosuchhost.invalid"},
		{"bench", 2, "got none"},
		{"bench --in-flight 0 127.0.0.1:9", 2, "--in-flight"},
		{"bench nosuchhost.invalid:9", 1, "nosuchhost.invalid"},
		{"bench local extra", 2, `got ["extra"]`},
		{"bench local --duration 0", 2, "--duration"},
		{"doctor a b", 2, `got ["a" "b"]`},
		{"doctor --interface nonsense", 1, "interface nonsense"},
		{"man nonsense", 2, "nonsense"},
		{"completion nonsense", 2, "nonsense"},
		{"help nonsense", 2, "nonsense"},
		{"help ping nonsense", 2, "nonsense"},
		{"man --dir /nonexistent", 1, "/nonexistent"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, tool(t), strings.Fields(test.args)...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run()
			out, code := stderr.String(), cmd.ProcessState.ExitCode()
			if code != test.code || !strings.HasPrefix(out, "datagram") || !strings.Contains(out, test.says) || strings.Count(out, "\n") != 1 {
				t.Errorf("exit code %d, want %d with %q in one line\n%s", code, test.code, test.says, out)
			}
		})
	}
}

func TestPrivilegedPort(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(first)) == "0" {
		t.Skip("no port is privileged here")
	}
	for _, command := range []string{"listen 127.0.0.1:7", "echo 127.0.0.1:7", "sink 127.0.0.1:7", "relay 127.0.0.1:7 127.0.0.1:9"} {
		args := append([]string{tool(t)}, strings.Fields(command)...)
		if os.Geteuid() == 0 {
			args = append([]string{testenv.Program(t, "setpriv"), "--bounding-set", "-net_bind_service"}, args...)
		}
		program.Fails(t, 1, "127.0.0.1:7: bind: permission denied", args[0], args[1:]...)
	}
}

// A command that runs until a signal ends well by it. One that has more to do says that it was ended.
func TestSignals(t *testing.T) {
	needSignals(t)
	t.Parallel()
	_, echo := serve(t, "echo", "127.0.0.1:0")
	_, sink := serve(t, "sink", "127.0.0.1:0")
	for _, test := range []struct {
		args, ready string
		code        int // 0, or that of a command which was not done
	}{
		{"listen 127.0.0.1:0", "listening", 0},
		{"listen --count 1 127.0.0.1:0", "listening", codeSignal},
		{"join --interface " + loopbackName(t) + " 239.192.7.1:0", "listening", 0},
		{"echo 127.0.0.1:0", "listening", 0},
		{"sink 127.0.0.1:0", "listening", 0},
		{"relay 127.0.0.1:0 " + echo, "listening", 0},
		{"ping --interval 1ms " + echo, "answer", 0},
		{"ping --interval 1ms --count 1000000 " + echo, "answer", codeSignal},
		{"bench --duration 1h --every 1ms " + echo, "", codeSignal},
		{"bench --duration 1h --every 1ms --rate 1000 " + echo, "", codeSignal},
		{"bench --duration 1h --every 1ms --sink --rate 1000 " + sink, "", codeSignal},
		{"bench local --duration 1h", "linux", codeSignal},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(test.args, func(t *testing.T) {
				t.Parallel()
				p := start(t, strings.Fields(test.args)...)
				if line := p.Line(); !strings.HasPrefix(line, strings.ReplaceAll(test.ready, "linux", runtime.GOOS)) {
					t.Fatal(line)
				}
				code := test.code
				if code == codeSignal {
					code += int(signal)
				}
				rest := stop(t, p, signal, code)
				if says := strings.Contains(rest, "ended by a signal"); says != (code != 0) || strings.Contains(rest, "goroutine") {
					t.Errorf("printed %q", rest)
				}
			})
		}
	}
}

// printing returns uses of commands that print by themselves. They need the address of an echo server.
func printing(t *testing.T, echo string) []string {
	t.Helper()
	return []string{
		"listen 127.0.0.1:0",
		"join --interface " + loopbackName(t) + " 239.192.7.1:0",
		"echo 127.0.0.1:0",
		"sink 127.0.0.1:0",
		"relay 127.0.0.1:0 " + echo,
		"ping --interval 1ms " + echo,
		"ping --interval 1ms -o json " + echo,
		"bench --duration 1h --every 1ms " + echo,
		"bench local --duration 100ms",
		"doctor",
		"man",
		"completion zsh",
	}
}

// A closed output ends a command without a message, and with the exit code that shells know.
func TestClosedOutput(t *testing.T) {
	needSignals(t)
	t.Parallel()
	_, echo := serve(t, "echo", "127.0.0.1:0")
	for _, args := range printing(t, echo) {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), tool(t), strings.Fields(args)...)
			var stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = w, &stderr
			r.Close()
			err = cmd.Run()
			w.Close()
			if code := cmd.ProcessState.ExitCode(); code != codeOutputClosed || stderr.Len() > 0 {
				t.Errorf("%v, want exit code %d and no message, got %q", err, codeOutputClosed, &stderr)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	full := program.FullDevice(t)
	_, echo := serve(t, "echo", "127.0.0.1:0")
	more := []string{"send " + echo + " hello", "completion bash", "--version", "ping --help"}
	for _, args := range append(printing(t, echo), more...) {
		program.FailsToPrint(t, full, "no space left", tool(t), strings.Fields(args)...)
	}
}

// Each command has a short help text with examples that would work.
func TestHelp(t *testing.T) {
	t.Parallel()
	root := newRoot(newOutput(os.Stdout, os.Stderr, nil))
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			return // the library's
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
		if cmd == root {
			return
		}
		if cmd.Short == "" || strings.Count(cmd.Long, "\n") > 8 || cmd.Example == "" {
			t.Errorf("%s: the help text is too short or too long", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, "#")
			for piece := range strings.SplitSeq(line, "|") {
				args := strings.Fields(piece)
				if len(args) == 0 || args[0] != "datagram" {
					continue
				}
				found, rest, err := root.Find(args[1:])
				if err == nil {
					err = found.ParseFlags(rest)
				}
				if err == nil {
					err = found.ValidateArgs(found.Flags().Args())
				}
				if err != nil {
					t.Errorf("%q: %v", line, err)
				}
			}
		}
	}
	check(root)
	if out := expect(t, 0, "ping", "--help"); !strings.Contains(out, "Examples:") {
		t.Error(out)
	}
	if out := expect(t, 0); !strings.Contains(out, "Exit codes:") {
		t.Error(out)
	}
	if out := expect(t, 0, "--version"); !strings.Contains(out, runtime.Version()) {
		t.Error(out)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"__complete pi":                "ping",
		"__complete listen --network ": "udp4",
		"__complete -o ":               "json",
		"__complete join --interface ": loopbackName(t),
	} {
		fields := strings.Split(args, " ")
		if out := expect(t, 0, fields...); !strings.Contains(out, want) {
			t.Errorf("%s: no %s in\n%s", args, want, out)
		}
	}
	script := expect(t, 0, "completion", "bash")
	if out, code := program.Run(t, script, testenv.Program(t, "bash"), "-n"); code != 0 {
		t.Error(out)
	}
}

// loopbackName returns the name of the loopback interface.
func loopbackName(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			return ifi.Name
		}
	}
	t.Fatal("no loopback interface")
	return ""
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	conn := conntest.QuietPort(t)
	port := conn.LocalAddr().Port()
	conn.Close()
	return strconv.Itoa(int(port))
}
