package consumers_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/xtaci/kcp-go/v5"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// TestKCP transfers a mebibyte over kcp-go, both ends over handles.
func TestKCP(t *testing.T) {
	buffer := datagram.WithReadBuffer(4 << 20)
	server, client := conntest.Loopback(t, buffer), conntest.Loopback(t, buffer)
	listener, err := kcp.ServeConn(nil, 0, 0, server.PacketConn())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	out, err := kcp.NewConn(server.LocalAddr().String(), nil, 0, 0, client.PacketConn())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	tune(out)
	data := make([]byte, 1<<20)
	rand.Read(data)
	sent := await.Go(func() {
		if _, err := out.Write(data); err != nil {
			t.Errorf("writing: %v", err)
		}
	})
	in, err := listener.AcceptKCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	tune(in)
	in.SetReadDeadline(time.Now().Add(6 * await.Limit))
	got := make([]byte, len(data))
	if n, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d of %d bytes, %v", n, len(data), err)
	}
	await.Closed(t, "the sender", sent)
}

// tune makes a session fast, as kcp-go's documentation recommends.
func tune(s *kcp.UDPSession) {
	s.SetNoDelay(1, 10, 2, 1)
	s.SetWindowSize(1024, 1024)
}
