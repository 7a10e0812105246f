package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// What nc sends is aggregated, and printed at the end of the program.
func TestNetcat(t *testing.T) {
	nc := testenv.Program(t, "nc")
	server := program.Start(t, program.Build(t), "-listen", "127.0.0.1:0", "-interval", "1h")
	host, port, err := net.SplitHostPort(server.After("listening on "))
	if err != nil {
		t.Fatal(err)
	}
	for _, datagram := range []string{"requests:1|c", "requests:2|c\nlatency:20|ms\nlatency:30|ms", "temperature:21.5|g", "junk"} {
		if out, code := program.Run(t, datagram, nc, "-u", "-w1", "-N", host, port); code != 0 {
			t.Fatal(out)
		}
	}
	server.Signal(syscall.SIGTERM)
	const want = "counter requests 3\ngauge temperature 21.5\ntimer latency count 2, mean 25, min 20, max 30\nignored: 1 bad lines, 0 beyond 10000 names\n"
	if out, code := server.Wait(); code != 0 || out != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, out, want)
	}
}

// Reports come at intervals, and counters start anew after each.
func TestInterval(t *testing.T) {
	server := program.Start(t, program.Build(t), "-listen", "127.0.0.1:0", "-interval", "10ms")
	conn, err := net.Dial("udp", server.After("listening on "))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 {
		if _, err := conn.Write([]byte("a:1|c")); err != nil {
			t.Fatal(err)
		}
		if got := server.Line(); got != "counter a 1" {
			t.Fatalf("printed %q", got)
		}
	}
	server.Signal(os.Interrupt)
	if out, code := server.Wait(); code != 0 || strings.Contains(out, "counter") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
