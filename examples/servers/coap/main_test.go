package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

func TestCoapClient(t *testing.T) {
	client := testenv.Program(t, "coap-client-notls")
	server := program.Start(t, program.Build(t), "-listen", "127.0.0.1:0")
	at := "coap://" + server.After("listening on ")
	for _, test := range []struct{ args, want string }{
		{"/.well-known/core", "</time>;ct=0,</note>;ct=0"},
		{"-m put -e hello /note", ""},
		{"/note", "hello"},
		{"-N /note", "hello"}, // not confirmable
		{"-N -m put -e bye /note", ""},
		{"/note", "bye"},
		{"/nothing", "4.04"},
		{"/", "4.04"},
		{"-m delete /time", "4.05"},
		{"-A 50 /time", "4.02"}, // wants JSON: Accept is critical
		{"-m put -b 1024 -e " + strings.Repeat("x", 1025) + " /note", "4.02"}, // block-wise transfer
	} {
		args := strings.Fields(test.args)
		args[len(args)-1] = at + args[len(args)-1]
		out, code := program.Run(t, "", client, append([]string{"-B", "20"}, args...)...)
		if code != 0 || strings.TrimSpace(out) != test.want {
			t.Errorf("coap-client %s: exit code %d, %q, want %q", test.args, code, out, test.want)
		}
	}
	out, code := program.Run(t, "", client, "-B", "20", at+"/time")
	if now, err := time.Parse(time.RFC3339, strings.TrimSpace(out)); code != 0 || err != nil || time.Since(now).Abs() > time.Hour {
		t.Errorf("/time: exit code %d, %q", code, out)
	}
	server.Signal(syscall.SIGTERM)
	if out, code := server.Wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// What no client sends is answered as the RFC says, or not at all.
func TestStrangeMessages(t *testing.T) {
	server := program.Start(t, program.Build(t), "-listen", "127.0.0.1:0")
	conn, err := net.Dial("udp", server.After("listening on "))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const ping = "\x40\x00\x12\x34"
	for _, message := range []string{"", "\x40", "\x60\x00\x00\x01", "\x4f\x01\x00\x01", "\x50\x00\x00\x01", "\x40\x01\x00\x01\xd0"} {
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(ping)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 100)
		if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "\x70\x00\x12\x34" {
			t.Errorf("after % x: % x, %v; want the reset that answers a ping", message, answer[:n], err)
		}
	}
}
