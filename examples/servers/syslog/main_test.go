package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

func start(t *testing.T) (server *program.Process, host, port string) {
	t.Helper()
	server = program.Start(t, program.Build(t), "-listen", "127.0.0.1:0")
	host, port, err := net.SplitHostPort(server.After("listening on "))
	if err != nil {
		t.Fatal(err)
	}
	return server, host, port
}

// next returns the next entry as a set of its fields.
func next(t *testing.T, server *program.Process) map[string]any {
	t.Helper()
	line := server.Line()
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return fields
}

func stop(t *testing.T, server *program.Process, received int) {
	t.Helper()
	server.Signal(syscall.SIGTERM)
	out, code := server.Wait()
	if want := fmt.Sprintf("syslog: received %d messages; the system dropped 0\n", received); code != 0 || !strings.HasSuffix(out, want) {
		t.Errorf("exit code %d, %q, want %q", code, out, want)
	}
}

func TestLogger(t *testing.T) {
	logger := testenv.Program(t, "logger")
	server, host, port := start(t)
	for _, test := range []struct {
		args []string
		want map[string]any
	}{
		{
			[]string{"--rfc5424", "--sd-id", "zoo@1", "--sd-param", `tiger="hungry"`, "--msgid", "ID7", "-t", "app", "-p", "mail.err", "hello"},
			map[string]any{"app": "app", "facility": "mail", "severity": "error", "id": "ID7", "message": "hello"},
		},
		{
			[]string{"--rfc3164", "-t", "old", "-p", "cron.warning", "<b>&c"},
			map[string]any{"app": "old", "facility": "cron", "severity": "warning", "message": "<b>&c"},
		},
	} {
		if out, code := program.Run(t, "", logger, append([]string{"--udp", "--server", host, "--port", port}, test.args...)...); code != 0 {
			t.Fatal(out)
		}
		got := next(t, server)
		for field, want := range test.want {
			if got[field] != want {
				t.Errorf("%q: %s is %v, want %v in %v", test.args, field, got[field], want, got)
			}
		}
		if got["problem"] != nil || got["received"] == nil || !strings.HasPrefix(got["from"].(string), host) {
			t.Errorf("%q: %v", test.args, got)
		}
		if data, ok := got["data"].(map[string]any); test.want["id"] != nil && (!ok || data["zoo@1"].(map[string]any)["tiger"] != "hungry") {
			t.Errorf("structured data %v", got["data"])
		}
	}
	stop(t, server, 2)
}

func TestLoggen(t *testing.T) {
	loggen := testenv.Program(t, "loggen")
	server, host, port := start(t)
	const n = 100
	// The second format is that of RFC 5424. The first is that of RFC 3164 but for the time, which is against all rules.
	for _, format := range [][]string{nil, {"--syslog-proto", "--no-framing"}} {
		args := append([]string{"--dgram", "--inet", "--rate", "1000", "--number", fmt.Sprint(n), "--quiet"}, format...)
		args = append(args, host, port)
		if out, code := program.Run(t, "", loggen, args...); code != 0 {
			t.Fatal(out)
		}
		for i := range n {
			got := next(t, server)
			if want := fmt.Sprintf("seq: %010d,", i); !strings.Contains(got["message"].(string), want) || (got["problem"] == nil) != (format != nil) {
				t.Fatalf("%s: %v, want %s", format, got, want)
			}
		}
	}
	stop(t, server, 2*n)
}

// What is no syslog message is printed whole, and does not end the server.
func TestStrangeMessages(t *testing.T) {
	server, host, port := start(t)
	conn, err := net.Dial("udp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	messages := []string{"", "junk", "<", "<999>1", "<34>1 2003-10-11T22:14:15.003Z h a - - [unclosed", strings.Repeat("x", 65000), "<34>Oct 11 22:14:15 h a: \x1b[31m", "<0>1 - - - - - -"}
	for _, message := range messages {
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
		got := next(t, server)
		if message == messages[len(messages)-1] {
			if got["problem"] != nil || got["severity"] != "emergency" {
				t.Errorf("%q: %v", message, got)
			}
		} else if got["problem"] == nil || got["message"] != message {
			t.Errorf("%.20q: problem %v, message %.20q", message, got["problem"], got["message"])
		}
	}
	stop(t, server, len(messages))
}

// What was received before a signal is printed.
func TestNothingIsLost(t *testing.T) {
	server, host, port := start(t)
	conn, err := net.Dial("udp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 200 {
		if _, err := conn.Write([]byte("<13>1 - - - - - - hello")); err != nil {
			t.Fatal(err)
		}
	}
	server.Line() // the server is at it
	server.Signal(syscall.SIGTERM)
	out, code := server.Wait()
	var received int
	_, summary, _ := strings.Cut(out, "syslog: ")
	if _, err := fmt.Sscanf(summary, "received %d messages", &received); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	if printed := 1 + strings.Count(out, `"message":"hello"`); printed != received {
		t.Errorf("printed %d of %d messages", printed, received)
	}
}

// A reader of the output that goes away ends the server with an error, not with a signal.
func TestClosedPipe(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), program.Build(t), "-listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	conn, err := net.Dial("udp", strings.TrimSpace(strings.TrimPrefix(line, "listening on ")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("<13>1 - - - - - - hello")); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "pipe") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
}
