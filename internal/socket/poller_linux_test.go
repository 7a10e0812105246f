package socket_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

// While the send buffer is full the poller refuses to wait. Receive reports pending errors all the same.
func TestRefusedWhileFull(t *testing.T) {
	config := limits(false, false, true)
	config.Settings = []socket.Setting{{Option: socket.WriteBuffer, Value: 20_000}}
	s, far := behindSlowLink(t, "800kbit", config)
	defer time.AfterFunc(await.Limit, s.Interrupt).Stop()
	var peer socket.Socket
	far.Do(func() {
		var err error
		if peer, err = listen(t, "udp4", "192.0.2.2:10", config); err != nil {
			t.Fatal(err)
		}
	})
	defer peer.Close()
	alive, dead := netip.MustParseAddrPort("192.0.2.2:10"), netip.MustParseAddrPort("192.0.2.2:9")
	for i := range 100 {
		to := alive
		if i == 3 || i == 5 { // which leave when the receiver waits
			to = dead
		}
		_, err := s.Send([]socket.Outgoing{{Addr: to, Payload: make([]byte, 1000)}}, false)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Connect(dead); err != nil { // errors are reported to connected sockets
		t.Fatal(err)
	}
	var batch socket.Batch
	defer batch.Free()
	for range 2 { // the first ends the wait, and from then on the poller refuses
		err := s.Receive(&batch)
		for none := socket.NetworkErrors(nil); errors.As(err, &none); {
			err = s.Receive(&batch)
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("received %v, want ECONNREFUSED", err)
		}
	}
}
