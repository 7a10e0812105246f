package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// Programs that do not use the package send to it.
func TestListenToOthers(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(host, port string) []string{
		"nc":    func(host, port string) []string { return []string{"-u", "-q0", "-w1", host, port} },
		"socat": func(host, port string) []string { return []string{"-u", "-", "UDP:" + host + ":" + port} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := testenv.Program(t, name)
			p, address := serve(t, "listen", "--count", "1", "127.0.0.1:0")
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			if out, code := program.Run(t, "from outside\n", client, command(host, port)...); code != 0 {
				t.Fatalf("exit code %d\n%s", code, out)
			}
			rest, code := p.Wait()
			if code != 0 || !strings.HasSuffix(rest, `: "from outside\n"`+"\n") {
				t.Errorf("exit code %d, printed %q", code, rest)
			}
		})
	}
}

func TestListenPayloads(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want string }{
		{"", `FROM: "a\xff"`},
		{"--payload hex", "FROM: 61ff"},
		{"--payload raw", "a\xff"},
		{"-o json", `{"datagram":{"from":"FROM","length":2,"payload_base64":"Yf8="}}`},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			p := start(t, append([]string{"listen", "--count", "1", "127.0.0.1:0"}, strings.Fields(test.args)...)...)
			address := strings.TrimPrefix(p.Line(), "listening on ")
			if strings.HasPrefix(address, "{") {
				address = decode[listening](t, "listening", address).Address
			}
			client := dialTo(t, address)
			if _, err := client.Write([]byte("a\xff")); err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(test.want, "FROM", client.LocalAddr().String())
			if got := p.Line(); got != want {
				t.Errorf("printed %q, want %q", got, want)
			}
			if rest, code := p.Wait(); code != 0 || rest != "" {
				t.Errorf("exit code %d, then printed %q", code, rest)
			}
		})
	}
}

// It prints no more than it was asked for, even of datagrams that were received together.
func TestListenCount(t *testing.T) {
	t.Parallel()
	p, address := serve(t, "listen", "--count", "2", "--payload", "raw", "127.0.0.1:0")
	if _, code := program.Run(t, "1\n2\n3\n4\n", tool(t), "send", address); code != 0 {
		t.Fatalf("exit code %d of send", code)
	}
	if rest, code := p.Wait(); code != 0 || rest != "1\n2\n" {
		t.Errorf("exit code %d, printed %q", code, rest)
	}
}

// With --meta a wildcard tells all that is known of a datagram.
func TestListenMeta(t *testing.T) {
	t.Parallel()
	p, address := serveJSON(t, "listen", "--network", "udp4", "--meta", "--count", "1", "0")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	client := dialTo(t, "127.0.0.1:"+port)
	if _, err := client.Write(nil); err != nil {
		t.Fatal(err)
	}
	d := decode[record](t, "datagram", p.Line())
	if d.From != client.LocalAddr().String() || d.To != "127.0.0.1" || d.Interface != loopbackName(t) ||
		d.Time == nil || d.HopLimit == 0 || d.TrafficClass == nil || d.Text == nil || *d.Text != "" {
		b, _ := json.Marshal(d)
		t.Errorf("got %s", b)
	}
}

// A reader that goes away ends it as it ends other programs in a pipe.
func TestListenClosedOutput(t *testing.T) {
	needSignals(t)
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), tool(t), "listen", "127.0.0.1:0")
	cmd.Stderr = new(strings.Builder)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	if _, err := fmt.Fscanf(stdout, "listening on %s\n", &address); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	client := dialTo(t, address)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != codeOutputClosed {
		t.Errorf("%v, want exit code %d\n%s", err, codeOutputClosed, cmd.Stderr)
	}
}

// Datagrams that came faster than they were counted as lost end it with an exit code of their own.
func TestListenLoss(t *testing.T) {
	testenv.AllOffloads(t)
	needSignals(t)
	if _, err := os.Stat("/proc/net/udp"); err != nil {
		t.Skip("the system does not count drops")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.CommandContext(t.Context(), tool(t), "listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = w, new(strings.Builder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var address string
	if _, err := fmt.Fscanf(r, "listening on %s\n", &address); err != nil {
		t.Fatal(err)
	}
	// Nobody reads the pipe now, so the tool waits, and the receive buffer fills.
	client := dialTo(t, address)
	for !lossyAt(t, address) {
		for range 1000 {
			if _, err := client.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code, says := cmd.ProcessState.ExitCode(), fmt.Sprint(cmd.Stderr); code != codeShortfall || !strings.Contains(says, "lost") {
		t.Errorf("exit code %d, want %d\n%s", code, codeShortfall, says)
	}
}

// lossyAt reports whether the socket at an address has dropped datagrams.
func lossyAt(t *testing.T, address string) bool {
	t.Helper()
	for _, s := range lossySockets() {
		if s.local.String() == address {
			return true
		}
	}
	return false
}
