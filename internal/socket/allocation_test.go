//go:build unix && !race

package socket_test

import (
	"net/netip"
	"testing"

	"example.com/datagram/internal/socket"
)

// TestAllocations sends and receives without allocating. The race detector
// allocates itself.
func TestAllocations(t *testing.T) {
	for _, i := range implementations {
		t.Run(i.name, func(t *testing.T) {
			config := i.config
			config.LocalAddresses = true
			s, err := listen(t, "udp", ":0", config)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			client, err := listen(t, "udp4", "127.0.0.1:0", i.config)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			local, self := s.Info().Local.Port(), client.Info().Local
			question := []socket.Outgoing{{Addr: netip.AddrPortFrom(self.Addr(), local), Payload: make([]byte, 100)}}
			answer := []socket.Outgoing{{Addr: self, Payload: make([]byte, 100)}}
			answer[0].Control = &socket.Control{Local: question[0].Addr.Addr()}
			var a, b socket.Batch
			if n := testing.AllocsPerRun(200, func() {
				_, err1 := client.Send(question, true)
				err2 := s.Receive(&a)
				_, err3 := s.Send(answer, true)
				err4 := client.Receive(&b)
				if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
					t.Fatal(err1, err2, err3, err4)
				}
			}); n >= 1 {
				t.Errorf("%v allocations a round", n)
			}
		})
	}
}
