package datagram_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/nettest"

	"example.com/datagram"
)

// inNettest is set in the process that runs nettest.
const inNettest = "DATAGRAM_NETTEST"

// Package nettest runs all of its subtests or none. These apply to datagrams; BasicIO and PingPong need
// io.EOF, and FutureTimeout floods the connection and then needs each datagram.
var applicable = []string{
	"RacyRead", "RacyWrite", "ReadTimeout", "WriteTimeout", "PastTimeout", "PresentTimeout", "CloseTimeout", "ConcurrentMethods",
}

// TestNettest runs this test binary again with those subtests alone.
func TestNettest(t *testing.T) {
	if os.Getenv(inNettest) != "" {
		ways(t, func(t *testing.T, w way) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) { return pipe(t, w) })
		})
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.v", "-test.run=^TestNettest$/./^("+strings.Join(applicable, "|")+")$")
	child.Env = append(os.Environ(), inNettest+"=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ways(t, func(t *testing.T, w way) {
		for _, name := range applicable {
			if !strings.Contains(string(out), "--- PASS: TestNettest/"+w.name+"/"+name+" ") {
				t.Errorf("%s did not run:\n%s", name, out)
			}
		}
	})
}

// pipe returns two handles that are connected to each other.
func pipe(t *testing.T, w way) (c1, c2 net.Conn, stop func(), err error) {
	a, b := w.listen(t), w.listen(t)
	if err := a.Connect(b.LocalAddr()); err != nil {
		return nil, nil, nil, err
	}
	if err := b.Connect(a.LocalAddr()); err != nil {
		return nil, nil, nil, err
	}
	p, q := a.PacketConn(), b.PacketConn()
	return p, q, func() { closeBoth(p, q) }, nil
}

func closeBoth(a, b *datagram.PacketConn) {
	a.Close()
	b.Close()
}
