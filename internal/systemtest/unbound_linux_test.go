package systemtest_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// The first send binds a socket that was opened unbound also if it fails.
func TestDestroyedAfterFailedFirstSend(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		told := make(chan error, 100)
		peer := conntest.Listen(t, "udp4", "127.0.0.1:0")
		c := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0), append(opts, datagram.WithErrorHandler(func(err error) { told <- err }))...)
		_, err := c.TrySend(datagram.To(peer.LocalAddr(), make([]byte, 65_508)))
		conntest.ExpectError(t, "a send that is too long", err, syscall.EMSGSIZE)
		local := c.LocalAddr()
		ch := c.Recv()
		if c.LocalAddr().Port() == 0 {
			t.Fatal("not bound")
		}
		t.Log(local, c.LocalAddr())
		local = c.LocalAddr()
		netns.Destroy(t, reached(c, peer), peer.LocalAddr())
		conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
		if c.LocalAddr() != local {
			t.Errorf("bound to %v, was to %v", c.LocalAddr(), local)
		}
		conntest.TrySend(t, peer, datagram.To(reached(c, peer), []byte("still there?")))
		if got := conntest.Text(t, ch); got != "still there?" {
			t.Errorf("received %q", got)
		}
	})
}
