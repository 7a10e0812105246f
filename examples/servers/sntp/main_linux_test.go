package main

import (
	"encoding/json"
	"math"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// The clients run in a namespace, since ntpdig knows no port but 123.
func start(t *testing.T) (*netns.Namespace, *program.Process) {
	t.Helper()
	n := netns.New(t)
	var server *program.Process
	path := program.Build(t)
	n.Do(func() { server = program.Start(t, path) })
	server.After("listening on ")
	t.Cleanup(func() {
		server.Signal(syscall.SIGTERM)
		if out, code := server.Wait(); code != 0 || out != "" {
			t.Errorf("exit code %d after SIGTERM\n%s", code, out)
		}
	})
	return n, server
}

// exact is how far the time of a server on the same machine may be off, in seconds. It is far more than it is in fact.
const exact = 1.0

func TestChronyd(t *testing.T) {
	chronyd := testenv.Program(t, "chronyd")
	n, _ := start(t)
	out := n.Run(chronyd, "-Q", "-t", "20", "server 127.0.0.1 iburst maxsamples 1")
	offset := regexp.MustCompile(`System clock wrong by (-?[0-9.]+) seconds`).FindStringSubmatch(out)
	if offset == nil {
		t.Fatal(out)
	}
	if wrong, err := strconv.ParseFloat(offset[1], 64); err != nil || math.Abs(wrong) > exact {
		t.Error(out)
	}
}

func TestNtpdig(t *testing.T) {
	ntpdig := testenv.Program(t, "ntpdig")
	n, _ := start(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		out := n.Run(ntpdig, "--json", "--timeout", "20", host)
		var answer struct {
			Offset, Precision float64
			Stratum           int
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil || math.Abs(answer.Offset) > exact || answer.Stratum != 10 {
			t.Errorf("%s: %+v, %v in %s", host, answer, err, out)
		}
	}
}
