package socket_test

import (
	"testing"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/netns"
)

// behindSlowLink returns a socket that reaches 192.0.2.2 in the namespace far over a link of the rate, which is as in
// tc(8), so that its send buffer fills.
func behindSlowLink(t *testing.T, rate string, config socket.Config) (s socket.Socket, far *netns.Namespace) {
	t.Helper()
	near, far := netns.New(t), netns.New(t)
	nearEnd, farEnd := netns.Link(near, far)
	near.Addresses(nearEnd, "192.0.2.1/24")
	far.Addresses(farEnd, "192.0.2.2/24")
	near.Run("tc", "qdisc", "replace", "dev", nearEnd.Name, "root", "tbf", "rate", rate, "burst", "1600", "limit", "1000000")
	near.Do(func() {
		var err error
		if s, err = listen(t, "udp4", ":0", config); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { s.Close() })
	return s, far
}
