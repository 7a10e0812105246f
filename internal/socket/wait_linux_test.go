package socket_test

import (
	"net/netip"
	"sync"
	"testing"

	"example.com/datagram/internal/netns"
	"example.com/datagram/internal/socket"
)

// A send that may wait for room does so, also after it met a network error: those that
// others meet meanwhile make it try again.
func TestSendWaitsAmongNetworkErrors(t *testing.T) {
	near, far := netns.New(t), netns.New(t)
	nearEnd, farEnd := netns.Link(near, far)
	near.Addresses(nearEnd, "192.0.2.1/24")
	far.Addresses(farEnd, "192.0.2.2/24")
	far.Sysctl("net/ipv4/icmp_ratemask", "0") // each datagram is refused
	near.Run("tc", "qdisc", "replace", "dev", nearEnd.Name, "root", "tbf", "rate", "80mbit", "burst", "1600", "limit", "1000000")
	config := limits(true, false, true)
	config.NetworkErrors = true
	config.Settings = []socket.Setting{{Option: socket.WriteBuffer, Value: 1}}
	var s socket.Socket
	near.Do(func() {
		var err error
		if s, err = listen(t, "udp4", ":0", config); err != nil {
			t.Fatal(err)
		}
	})
	defer s.Close()
	ds := []socket.Outgoing{{Addr: netip.MustParseAddrPort("192.0.2.2:9"), Payload: make([]byte, 1000)}}
	var senders sync.WaitGroup
	for range 6 {
		senders.Go(func() {
			for range 1500 {
				if _, err := s.Send(ds, true); err != nil {
					t.Errorf("send: %v", err)
					return
				}
				_ = s.NetworkErrors()
			}
		})
	}
	senders.Wait()
}
