package systemtest_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// Whoever finds an opened socket unbound binds it; who comes at the same time finds it bound.
func TestOpenUnboundBesideOthers(t *testing.T) {
	sink := conntest.Loopback(t)
	to := sink.LocalAddr()
	group := netip.MustParseAddr("239.255.7.9")
	serve := func(c *datagram.Conn) error {
		ctx, cancel := context.WithCancel(background)
		served := make(chan error, 1)
		go func() { served <- c.Serve(ctx, func(datagram.Datagram) {}) }()
		await.Until(t, "the handle is bound", func() bool { return c.LocalAddr().IsValid() })
		cancel()
		if err := await.Value(t, "Serve", served); err != context.Canceled {
			return err
		}
		return nil
	}
	for _, test := range []struct {
		name string
		use  func(*datagram.Conn) error
		// refused is what the use may say when Recv was faster.
		refused error
	}{
		{"Connect", func(c *datagram.Conn) error { return c.Connect(to) }, nil},
		{"Connect and Disconnect", func(c *datagram.Conn) error { return errors.Join(c.Connect(to), c.Disconnect()) }, nil},
		{"Bind", func(c *datagram.Conn) error { return c.Bind(background, "udp4", "127.0.0.1:0") }, syscall.EINVAL},
		{"Send", func(c *datagram.Conn) error { return c.Send(background, datagram.To(to, nil)) }, nil},
		{"TrySend", func(c *datagram.Conn) error { return conntest.Err(c.TrySend(datagram.To(to, nil))) }, nil},
		{"TrySendBatch", func(c *datagram.Conn) error {
			return conntest.Err(c.TrySendBatch([]datagram.Datagram{datagram.To(to, nil), datagram.To(to, nil)}))
		}, nil},
		{"JoinGroup", func(c *datagram.Conn) error {
			return c.JoinGroup(group, nil)
		}, syscall.ENODEV}, // without a route to it
		{"Serve", serve, syscall.EALREADY},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range times(300) {
				c := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0))
				var together sync.WaitGroup
				start := make(chan struct{})
				var useError, readError error
				together.Go(func() {
					<-start
					useError = test.use(c)
				})
				together.Go(func() {
					<-start
					c.Recv()
					readError = c.Err()
				})
				close(start)
				together.Wait()
				if useError != nil && (test.refused == nil || !errors.Is(useError, test.refused)) {
					t.Fatalf("%s beside Recv: %v", test.name, useError)
				}
				if readError != nil && !errors.Is(readError, syscall.EALREADY) { // Serve was faster
					t.Fatalf("Recv beside %s: %v", test.name, readError)
				}
				if !c.LocalAddr().IsValid() {
					t.Fatal("nobody has bound it")
				}
				c.Close()
			}
		})
	}
}

// times is how often to try what fails by chance.
func times(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
