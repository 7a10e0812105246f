package wireguard_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"example.com/datagram"
	"example.com/datagram/adapters/wireguard"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
	"golang.zx2c4.com/wireguard/conn"
)

// A packet is what a ReceiveFunc returned.
type packet struct {
	payload []byte
	from    conn.Endpoint
}

// open opens a bind, and returns its port and a channel of what it receives.
func open(t *testing.T, b *wireguard.Bind) (uint16, <-chan packet) {
	t.Helper()
	fns, port, err := b.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan packet, 1000)
	ended := await.Go(func() {
		bufs, sizes, eps := buffers(65535), make([]int, b.BatchSize()), make([]conn.Endpoint, b.BatchSize())
		for {
			n, err := fns[0](bufs, sizes, eps)
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("receiving ended with %v", err)
				}
				return
			}
			for i := range n {
				received <- packet{bytes.Clone(bufs[i][:sizes[i]]), eps[i]}
			}
		}
	})
	t.Cleanup(func() {
		b.Close()
		await.Closed(t, "the ReceiveFunc after Close", ended)
	})
	return port, received
}

func endpoint(t *testing.T, b *wireguard.Bind, addr string, port uint16) conn.Endpoint {
	t.Helper()
	e, err := b.ParseEndpoint(netip.AddrPortFrom(netip.MustParseAddr(addr), port).String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// send sends one datagram, which must arrive.
func send(t *testing.T, from *wireguard.Bind, to conn.Endpoint, received <-chan packet) packet {
	t.Helper()
	if err := from.Send([][]byte{[]byte("hello")}, to); err != nil {
		t.Fatal(err)
	}
	p := await.Value(t, "a datagram", received)
	if string(p.payload) != "hello" {
		t.Errorf("received %q", p.payload)
	}
	return p
}

func TestBatchArrives(t *testing.T) {
	a, b := wireguard.NewBind(), wireguard.NewBind()
	open(t, a)
	port, received := open(t, b)
	bufs := buffers(1200)
	for i := range bufs {
		bufs[i] = fmt.Appendf(nil, "%01200d", i)
	}
	if err := a.Send(bufs, endpoint(t, a, "127.0.0.1", port)); err != nil {
		t.Fatal(err)
	}
	for i := range bufs {
		if p := await.Value(t, "a datagram", received); !bytes.Equal(p.payload, bufs[i]) {
			t.Fatalf("datagram %d is %.20q…", i, p.payload)
		}
	}
	if s := a.Conn().Stats(); a.Conn().Capabilities().GSO.Active && s.SendCalls > 1 {
		t.Errorf("%d datagrams took %d system calls", len(bufs), s.SendCalls)
	}
}

// TestSmallReader reads one datagram at a time out of batches.
func TestSmallReader(t *testing.T) {
	a, b := wireguard.NewBind(), wireguard.NewBind()
	open(t, a)
	fns, port, err := b.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	bufs := buffers(2)
	for i := range bufs {
		bufs[i][0] = byte(i)
	}
	if err := a.Send(bufs, endpoint(t, a, "127.0.0.1", port)); err != nil {
		t.Fatal(err)
	}
	sizes, eps := make([]int, 1), make([]conn.Endpoint, 1)
	for i := range bufs {
		buf := make([]byte, 65535)
		n, err := fns[0]([][]byte{buf}, sizes, eps)
		if n != 1 || err != nil || sizes[0] != 2 || buf[0] != byte(i) {
			t.Fatalf("datagram %d: %d datagrams, %d bytes, %v, error %v", i, n, sizes[0], buf[:2], err)
		}
	}
	b.Close()
	for range 2 {
		if n, err := fns[0](buffers(2), sizes, eps); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %d, %v", n, err)
		}
	}
}

func TestIPv6(t *testing.T) {
	testenv.NeedIPv6(t)
	a, b := wireguard.NewBind(), wireguard.NewBind()
	_, answers := open(t, a)
	port, received := open(t, b)
	p := send(t, a, endpoint(t, a, "::1", port), received)
	if p.from.DstIP() != conntest.Localhost6 || p.from.SrcIP() != conntest.Localhost6 {
		t.Errorf("arrived from %s at %s", p.from.DstToString(), p.from.SrcToString())
	}
	send(t, b, p.from, answers)
}

// TestSourceSticks lets a host with two addresses answer from the one that it was asked at, until the
// source is cleared.
func TestSourceSticks(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	t.Cleanup(func() { network.Close() })
	first, second := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	server, err := network.AddHost(first, second)
	if err != nil {
		t.Fatal(err)
	}
	client, err := network.AddHost(netip.MustParseAddr("10.0.0.9"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := wireguard.NewBind(client.Option()), wireguard.NewBind(server.Option())
	_, answers := open(t, a)
	port, received := open(t, b)

	peer := send(t, a, endpoint(t, a, second.String(), port), received).from
	if peer.SrcIP() != second || peer.SrcToString() != second.String() {
		t.Errorf("sent to %v, the endpoint's source is %q", second, peer.SrcToString())
	}
	if from := send(t, b, peer, answers).from; from.DstIP() != second {
		t.Errorf("answered from %v", from.DstIP())
	}
	peer.ClearSrc()
	if peer.SrcIP().IsValid() || peer.SrcToString() != "" {
		t.Errorf("a cleared source is %q", peer.SrcToString())
	}
	if from := send(t, b, peer, answers).from; from.DstIP() != first {
		t.Errorf("answered from %v without a source", from.DstIP())
	}
}

func TestEndpoint(t *testing.T) {
	e := endpoint(t, wireguard.NewBind(), "10.0.0.1", 0x1234)
	if want := []byte{10, 0, 0, 1, 0x34, 0x12}; !bytes.Equal(e.DstToBytes(), want) {
		t.Errorf("bytes %v, want %v", e.DstToBytes(), want)
	}
	if e.DstToString() != "10.0.0.1:4660" || e.SrcToString() != "" {
		t.Errorf("to %q from %q", e.DstToString(), e.SrcToString())
	}
	if _, err := wireguard.NewBind().ParseEndpoint("localhost:1"); err == nil {
		t.Error("a host name was accepted")
	}
}

func TestOpenAndClose(t *testing.T) {
	b := wireguard.NewBind()
	if err := b.Close(); err != nil {
		t.Errorf("Close before Open: %v", err)
	}
	if err := b.Send(buffers(1), endpoint(t, b, "127.0.0.1", 9)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send before Open: %v", err)
	}
	var port uint16
	for range 3 { // the port is free again each time
		_, opened, err := b.Open(port)
		if err != nil || port != 0 && opened != port {
			t.Fatalf("Open(%d): port %d, %v", port, opened, err)
		}
		port = opened
		if _, _, err := b.Open(port); !errors.Is(err, conn.ErrBindAlreadyOpen) {
			t.Errorf("second Open: %v", err)
		}
		if err := b.Send(buffers(1), foreignEndpoint{}); !errors.Is(err, conn.ErrWrongEndpointType) {
			t.Errorf("Send to another Bind's endpoint: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	other := conntest.Listen(t, "udp", ":0")
	if _, _, err := b.Open(other.LocalAddr().Port()); err == nil {
		t.Error("opened a port that is taken")
	}
}

type foreignEndpoint struct{ conn.Endpoint }

// TestOptions sees that a program's options come after those of the Bind.
func TestOptions(t *testing.T) {
	b := wireguard.NewBind(datagram.WithReadBuffer(10_000))
	open(t, b)
	if asked := b.Conn().Capabilities().ReadBuffer.Asked; asked != 10_000 {
		t.Errorf("asked for a buffer of %d bytes", asked)
	}
}
