package quic_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	upstream "github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"

	"example.com/datagram"
	"example.com/datagram/adapters/quic"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

const protocol = "test"

// configs returns the configurations of a server and of its client.
func configs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	server, client, err := newConfigs()
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// newConfigs returns the configurations of a server with a new certificate, and of its client.
func newConfigs() (server, client *tls.Config, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"server"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, NextProtos: []string{protocol}}
	return server, &tls.Config{RootCAs: roots, ServerName: "server", NextProtos: []string{protocol}}, nil
}

// connect returns both ends of a connection between transports of two handles.
func connect(t testing.TB, server, client *datagram.Conn, config *upstream.Config) (accepted, dialled *upstream.Conn) {
	t.Helper()
	ctx := await.Context(t)
	serverTLS, clientTLS := configs(t)
	listening, dialling := quic.NewTransport(server), quic.NewTransport(client)
	t.Cleanup(func() { listening.Close() })
	t.Cleanup(func() { dialling.Close() })
	listener, err := listening.Listen(serverTLS, config)
	if err != nil {
		t.Fatal(err)
	}
	dialled, err = dialling.Dial(ctx, server.PacketConn().LocalAddr(), clientTLS, config)
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err = listener.Accept(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.CloseWithError(0, "") })
	return accepted, dialled
}

// transfer sends data over a stream and compares what arrives.
func transfer(t testing.TB, from, to *upstream.Conn, data []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*await.Limit)
	t.Cleanup(cancel)
	sent := await.Go(func() {
		stream, err := from.OpenUniStreamSync(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		defer stream.Close()
		if _, err := stream.Write(data); err != nil {
			t.Error(err)
		}
	})
	stream, err := to.AcceptUniStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(stream)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("received %d of %d bytes, %v", len(got), len(data), err)
	}
	await.Closed(t, "the sender", sent)
}

func content(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

func TestTransfer(t *testing.T) {
	server, client := conntest.Loopback(t), conntest.Loopback(t)
	accepted, dialled := connect(t, server, client, nil)
	transfer(t, dialled, accepted, content(5<<20))
	transfer(t, accepted, dialled, content(1<<20))

	gso := client.Capabilities().GSO.Active
	if got := dialled.ConnectionState().GSO; got != gso {
		t.Errorf("quic-go uses GSO: %v, the handle: %v", got, gso)
	}
	if s := client.Stats(); gso && s.Sent < 4*s.SendCalls {
		t.Errorf("%d datagrams took %d system calls", s.Sent, s.SendCalls)
	}
	if s := server.Stats(); server.Capabilities().GRO.Active && s.Received < 2*s.ReceiveCalls {
		t.Errorf("%d datagrams were received by %d system calls", s.Received, s.ReceiveCalls)
	}
}

// TestSimulated transfers over a network that loses datagrams.
func TestSimulated(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.02, Delay: time.Millisecond})
	t.Cleanup(func() { network.Close() })
	listen := func(addr string) *datagram.Conn {
		c, err := network.Listen(t.Context(), "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return conntest.CloseAtEnd(t, c)
	}
	accepted, dialled := connect(t, listen("10.0.0.1:443"), listen("10.0.0.2:1000"), nil)
	transfer(t, dialled, accepted, content(200<<10))
}

// TestWildcard lets a server on the wildcard address serve both families.
func TestWildcard(t *testing.T) {
	server, client := conntest.Listen(t, "udp", ":0"), conntest.Listen(t, "udp", ":0")
	serverTLS, clientTLS := configs(t)
	listening, dialling := quic.NewTransport(server), quic.NewTransport(client)
	defer listening.Close()
	defer dialling.Close()
	listener, err := listening.Listen(serverTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := server.PacketConn().LocalAddr()
	dialled, err := dialling.Dial(await.Context(t), to, clientTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept(await.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.CloseWithError(0, "")
	transfer(t, dialled, accepted, content(100<<10))
}

// TestECN sees that both ends count ECN marks: quic-go finds a path capable once the peer has
// acknowledged the marks, which it must have received.
func TestECN(t *testing.T) {
	if !slices.Contains([]string{"linux", "darwin", "freebsd"}, runtime.GOOS) {
		t.Skip("quic-go has no ECN on this system")
	}
	var mu sync.Mutex
	states := make(map[qlog.ECNState]int)
	config := &upstream.Config{Tracer: func(context.Context, bool, upstream.ConnectionID) qlogwriter.Trace {
		return trace(func(e qlogwriter.Event) {
			if e, ok := e.(qlog.ECNStateUpdated); ok {
				mu.Lock()
				defer mu.Unlock()
				states[e.State]++
			}
		})
	}}
	accepted, dialled := connect(t, conntest.Loopback(t), conntest.Loopback(t), config)
	transfer(t, dialled, accepted, content(100<<10))
	transfer(t, accepted, dialled, content(100<<10))
	await.Until(t, "two capable ends", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return states[qlog.ECNStateCapable] == 2
	})
	if states[qlog.ECNStateFailed] > 0 {
		t.Errorf("states of ECN: %v", states)
	}
}

// A trace is a qlog trace that calls a function for each event.
type trace func(qlogwriter.Event)

func (f trace) AddProducer() qlogwriter.Recorder   { return f }
func (trace) SupportsSchemas(schema string) bool   { return true }
func (f trace) RecordEvent(event qlogwriter.Event) { f(event) }
func (trace) Close() error                         { return nil }
