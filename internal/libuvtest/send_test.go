package libuvtest_test

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// R9.
func TestLibuvDatagramTooBig(t *testing.T) {
	c := conntest.New(t)
	completed := make(chan error, 2)
	err := c.SendFunc(t.Context(), datagram.To(netip.AddrPortFrom(conntest.Localhost4, 9), make([]byte, 65536)),
		func(err error) { completed <- err })
	if err != nil {
		t.Fatal(err)
	}
	conntest.CheckErrno(t, await.Value(t, "the completion", completed), syscall.EMSGSIZE)
	if err := c.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if len(completed) != 0 {
		t.Error("it was completed twice")
	}
}

// R34.
func TestLibuvSendAndReceive(t *testing.T) {
	server, client := conntest.Loopback(t), conntest.New(t)
	completions := make(chan error, 2)
	answers := make(chan (<-chan datagram.Datagram), 1)
	err := client.SendFunc(t.Context(), datagram.To(server.LocalAddr(), []byte("PING")), func(err error) {
		answers <- client.Recv()
		completions <- err
	})
	if err != nil {
		t.Fatal(err)
	}
	ping := conntest.Expect(t, server, "PING")
	if err := server.StopRecv(); err != nil {
		t.Error(err)
	}
	if err := server.SendFunc(t.Context(), ping.Reply([]byte("PONG")), func(err error) { completions <- err }); err != nil {
		t.Fatal(err)
	}
	pong := await.Value(t, "PONG", await.Value(t, "PING to be sent", answers))
	if string(pong.Payload) != "PONG" || pong.Partial || pong.Addr != server.LocalAddr() {
		t.Errorf("received %q from %v, partial %v", pong.Payload, pong.Addr, pong.Partial)
	}
	for range 2 {
		if err := await.Value(t, "a completion", completions); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []*datagram.Conn{server, client} {
		if s := c.Stats(); s.Sent != 1 || s.Received != 1 || c.SendQueueSize() != 0 || c.SendQueueCount() != 0 {
			t.Errorf("sent %d, received %d, queued %d", s.Sent, s.Received, c.SendQueueCount())
		}
	}
}

// R35.
func TestLibuvNoBuffers(t *testing.T) {
	c := conntest.New(t)
	to := datagram.To(netip.AddrPortFrom(conntest.Localhost4, 9), nil)
	conntest.CheckErrno(t, c.SendBuffers(t.Context(), to, nil, nil), syscall.EINVAL)
	_, err := c.TrySendBuffers(to, nil)
	conntest.CheckErrno(t, err, syscall.EINVAL)
}

// R37.
func TestLibuvSendImmediate(t *testing.T) {
	server, client := conntest.Loopback(t), conntest.New(t)
	completions := make(chan error, 2)
	for _, word := range []string{"PING", "PANG"} {
		err := client.SendFunc(t.Context(), datagram.To(server.LocalAddr(), []byte(word)), func(err error) { completions <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, word := range []string{"PING", "PANG"} {
		conntest.Expect(t, server, word)
		if err := await.Value(t, "a completion", completions); err != nil {
			t.Error(err)
		}
	}
}

// R38, and that nothing of it stays without an account.
func TestLibuvSendUnreachable(t *testing.T) {
	dead := conntest.DeadAddr(t, "127.0.0.1:0")
	for _, test := range []struct {
		name      string
		opts      []datagram.Option
		connected bool
	}{
		{"plain", nil, false},
		{"connected", nil, true},
		{"network errors", []datagram.Option{datagram.WithNetworkErrors()}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.opts != nil && runtime.GOOS != "linux" {
				testenv.Skip(t, "network errors are for Linux")
			}
			reported := make(chan error, 16)
			opts := append(test.opts, datagram.WithErrorHandler(func(err error) { reported <- err }))
			c := conntest.Loopback(t, opts...)
			to := dead
			if test.connected {
				if err := c.Connect(dead); err != nil {
					t.Fatal(err)
				}
				to = netip.AddrPort{}
			}
			c.Recv()
			for range 2 {
				completed := make(chan error, 1)
				if err := c.SendFunc(t.Context(), datagram.To(to, []byte("PING")), func(err error) { completed <- err }); err != nil {
					t.Fatal(err)
				}
				// Only a connected handle's own peer can fail its sends.
				err := await.Value(t, "a completion", completed)
				if err != nil && !(test.connected && errors.Is(err, syscall.ECONNREFUSED)) {
					t.Error(err)
				}
			}
			if test.name != "plain" && c.Stats().SendErrors == 0 {
				if err := await.Value(t, "the refusal", reported); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("reported was %v", err)
				}
			}
			// Receiving has gone on.
			if test.connected {
				if err := c.Disconnect(); err != nil {
					t.Fatal(err)
				}
			}
			conntest.TrySend(t, conntest.New(t), datagram.To(c.LocalAddr(), []byte("alive")))
			conntest.Expect(t, c, "alive")
			if test.name == "plain" && len(reported) != 0 {
				t.Errorf("reported was %v, which the system does not tell", <-reported)
			}
			if s := c.Stats(); s.Accepted != 2 || s.Sent+s.SendErrors != 2 || s.Queued != 0 {
				t.Errorf("accepted %d, sent %d, failed %d, queued %d", s.Accepted, s.Sent, s.SendErrors, s.Queued)
			}
		})
	}
}

// R39.
func TestLibuvQueueToDeadPort(t *testing.T) {
	for _, opts := range [][]datagram.Option{nil, {datagram.WithNetworkErrors()}} {
		if opts != nil && runtime.GOOS != "linux" {
			testenv.Skip(t, "network errors are for Linux")
		}
		c := conntest.New(t, opts...)
		if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
		completions := make(chan error, 12)
		for range 6 {
			if err := c.SendFunc(t.Context(), datagram.Datagram{Payload: []byte("x")}, func(err error) { completions <- err }); err != nil {
				t.Fatal(err)
			}
		}
		for range 6 {
			if err := await.Value(t, "a completion", completions); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error(err)
			}
		}
		if err := c.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if len(completions) != 0 || c.SendQueueSize() != 0 {
			t.Errorf("%d completions more than datagrams, %d bytes queued", len(completions), c.SendQueueSize())
		}
	}
}

// R40.
func TestLibuvTrySend(t *testing.T) {
	server, client := conntest.Loopback(t), conntest.New(t)
	to := server.LocalAddr()
	server.Recv()
	_, err := client.TrySendBuffers(datagram.To(to, nil), nil)
	conntest.CheckErrno(t, err, syscall.EINVAL)
	_, err = client.TrySend(datagram.To(to, make([]byte, 64<<10)))
	conntest.CheckErrno(t, err, syscall.EMSGSIZE)
	hello := datagram.To(to, []byte("HELO"))
	if n, err := client.TrySendBatch([]datagram.Datagram{hello, hello}); n != 2 || err != nil {
		t.Errorf("sent %d, %v", n, err)
	}
	for range 2 {
		conntest.Expect(t, server, "HELO")
	}
	if err := server.StopRecv(); err != nil {
		t.Error(err)
	}
	if server.Active() || client.Active() {
		t.Error("something is active")
	}
	server.Recv()
	conntest.TrySend(t, client, datagram.To(to, []byte("EXIT")))
	conntest.Expect(t, server, "EXIT")
	if s := server.Stats(); s.Received != 3 || client.SendQueueSize() != 0 {
		t.Errorf("received %d, queued %d bytes", s.Received, client.SendQueueSize())
	}
}
