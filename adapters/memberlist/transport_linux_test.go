package memberlist_test

import (
	"fmt"
	"net"
	"testing"

	"example.com/datagram/internal/testing/netns"
)

// TestPortTakenByOther sees that a port which the system chooses for streams, and which somebody else uses for
// packets, is not the end.
func TestPortTakenByOther(t *testing.T) {
	const first, last = 40_000, 40_003
	n := netns.New(t)
	n.Sysctl("net/ipv4/ip_local_port_range", fmt.Sprint(first, " ", last))
	n.Do(func() {
		for port := first; port < last; port++ {
			other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
		}
		if port := newTransport(t, "127.0.0.1").Conn().LocalAddr().Port(); port != last {
			t.Errorf("listens on port %d, want %d", port, last)
		}
	})
}
