package socket_test

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/netns"
)

// A datagram that a firewall drops fails alone, and later ones are still sent in batches.
func TestFirewallTakesNoBatches(t *testing.T) {
	n := netns.New(t)
	n.Run("nft", "add table ip filter; add chain ip filter output { type filter hook output priority 0; }; "+
		"add rule ip filter output udp dport 9 drop")
	var s socket.Socket
	n.Do(func() {
		var err error
		if s, err = listen(t, "udp4", "127.0.0.1:0", limits(false, false, true)); err != nil {
			t.Fatal(err)
		}
	})
	defer s.Close()
	ds := make([]socket.Outgoing, 3)
	for i := range ds {
		ds[i] = socket.Outgoing{Addr: s.Info().Local, Payload: make([]byte, i)}
	}
	ds[0].Addr = netip.MustParseAddrPort("127.0.0.1:9")
	if sent, err := s.Send(ds, true); sent != 0 || !errors.Is(err, unix.EPERM) {
		t.Errorf("dropped: %d, %v; want EPERM", sent, err)
	}
	if sent, err := s.Send(ds[1:], true); sent != 2 || err != nil {
		t.Errorf("not dropped: %d, %v; want 2", sent, err)
	}
	if f := s.Features().Batch; !f.Active {
		t.Errorf("batches: %+v", f)
	}
}
