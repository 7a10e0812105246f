package pion_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"

	"example.com/datagram"
	"example.com/datagram/adapters/pion"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// listenDTLS returns a listener of DTLS on a handle.
func listenDTLS(t *testing.T, handle *datagram.Conn, config session.Config) net.Listener {
	t.Helper()
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	packets, err := pion.ListenDTLS(config, handle)
	if err != nil {
		t.Fatal(err)
	}
	return closeAtEnd[net.Listener](t)(dtls.NewListenerWithOptions(packets, dtls.WithCertificates(certificate)))
}

// TestDTLS lets two clients shake hands with a server of one handle, which echoes.
func TestDTLS(t *testing.T) {
	server := conntest.Loopback(t)
	listener := listenDTLS(t, server, session.Config{})
	ended := await.Go(func() {
		var sessions sync.WaitGroup
		defer sessions.Wait()
		for range 2 {
			c, err := listener.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			sessions.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the client closes
			})
		}
	})
	for _, text := range []string{"first", "second"} {
		handle := conntest.Loopback(t)
		client, err := dtls.ClientWithOptions(handle.PacketConn(), server.PacketConn().LocalAddr(), dtls.WithInsecureSkipVerify(true))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.SetDeadline(time.Now().Add(await.Limit)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(client, text); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 100)
		if n, err := client.Read(answer); string(answer[:n]) != text || err != nil {
			t.Errorf("the answer to %q is %q, %v", text, answer[:n], err)
		}
		client.Close()
	}
	await.Closed(t, "the server", ended)
}

// TestDTLSAdmits sends what begins no handshake, and one that the program does not admit. None opens a session.
func TestDTLSAdmits(t *testing.T) {
	server, client := conntest.Loopback(t), conntest.Loopback(t)
	var asked atomic.Int32
	listener := listenDTLS(t, server, session.Config{Admit: func(datagram.Datagram) bool { return asked.Add(1) > 1 }})
	record := make([]byte, 13)
	record[0], record[1], record[2] = 22, 254, 253
	alert := append([]byte{21}, record[1:]...)
	tls12 := append([]byte{22, 3, 3}, record[3:]...)
	for _, payload := range [][]byte{{}, record[:12], alert, tls12, record, record} {
		if err := client.Send(t.Context(), datagram.To(server.LocalAddr(), payload)); err != nil {
			t.Fatal(err)
		}
	}
	c := closeAtEnd[net.Conn](t)(listener.Accept())
	if c.RemoteAddr().String() != client.LocalAddr().String() {
		t.Errorf("the session is with %v", c.RemoteAddr())
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("Admit was asked %d times, want 2", n)
	}
}

func TestDTLSErrors(t *testing.T) {
	if _, err := pion.ListenDTLS(session.Config{}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no handles: %v", err)
	}
}
