package consumers_test

import (
	"net"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// dial returns a handle that is connected to an address, as a library takes it.
func dial(t *testing.T, address string) *datagram.PacketConn {
	t.Helper()
	c, err := datagram.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conntest.CloseAtEnd(t, c).PacketConn()
}

// answer answers each question that arrives at a new handle, and returns its address.
func answer(t *testing.T, answer func(question []byte) []byte) *net.UDPAddr {
	t.Helper()
	server := conntest.Loopback(t)
	ended := await.Go(func() {
		for d := range server.Recv() {
			if err := server.Send(t.Context(), d.Reply(answer(d.Payload))); err != nil && t.Context().Err() == nil {
				t.Errorf("answering: %v", err)
			}
			d.Release()
		}
	})
	t.Cleanup(func() {
		server.Close()
		await.Closed(t, "the server", ended)
	})
	return net.UDPAddrFromAddrPort(server.LocalAddr())
}
