package quic_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/testing/conntest"
)

// TestDontFragment sees what quic-go has set on the socket.
func TestDontFragment(t *testing.T) {
	server, client := conntest.Loopback(t), conntest.Loopback(t)
	connect(t, server, client, nil)
	raw, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var mode int
	raw.Control(func(fd uintptr) { mode, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER) })
	if mode != unix.IP_PMTUDISC_PROBE || err != nil {
		t.Errorf("path MTU discovery is %d, %v", mode, err)
	}
	if size, err := client.ReadBuffer(); err != nil || size < 2*212992 { // net.core.rmem_max, doubled
		t.Errorf("the receive buffer is %d bytes, %v", size, err)
	}
}
