package socket_test

import (
	"net/netip"
	"sync"
	"testing"

	"example.com/datagram/internal/socket"
)

// A send that may wait for room does so even after it met a network error. Network errors that other sends meet
// meanwhile make it try again.
func TestSendWaitsAmongNetworkErrors(t *testing.T) {
	config := limits(true, false, true)
	config.NetworkErrors = true
	config.Settings = []socket.Setting{{Option: socket.WriteBuffer, Value: 1}}
	s, far := behindSlowLink(t, "80mbit", config)
	far.Sysctl("net/ipv4/icmp_ratemask", "0") // each datagram is refused
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
