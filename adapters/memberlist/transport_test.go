package memberlist_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	upstream "github.com/hashicorp/memberlist"

	"example.com/datagram"
	"example.com/datagram/adapters/memberlist"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func newTransport(t *testing.T, addr string, options ...datagram.Option) *memberlist.Transport {
	t.Helper()
	tr, err := memberlist.NewTransport(t.Context(), addr, 0, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Shutdown(); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		await.Closed(t, "Done after Shutdown", tr.Conn().Done())
	})
	return tr
}

// A messages delegate receives what other members send.
type messages chan string

func (m messages) NotifyMsg(b []byte)                       { m <- string(b) }
func (messages) NodeMeta(int) []byte                        { return nil }
func (messages) GetBroadcasts(overhead, limit int) [][]byte { return nil }
func (messages) LocalState(join bool) []byte                { return nil }
func (messages) MergeRemoteState(buf []byte, join bool)     {}

// TestCluster lets three members join, and each send a message to each other, over the loopback
// interface and over a simulated network that loses packets, with streams on the loopback interface.
func TestCluster(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: time.Millisecond})
	t.Cleanup(func() { network.Close() })
	for name, options := range map[string][]datagram.Option{"loopback": nil, "simulated": {network.Option()}} {
		t.Run(name, func(t *testing.T) {
			var members []*upstream.Memberlist
			var received []messages
			for i := range 3 {
				transport := newTransport(t, "127.0.0.1", options...)
				inbox := make(messages, 1000)
				config := upstream.DefaultLocalConfig()
				config.Name, config.Transport, config.Delegate, config.LogOutput = fmt.Sprint(i), transport, inbox, io.Discard
				m, err := upstream.Create(config)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { m.Shutdown() })
				members, received = append(members, m), append(received, inbox)
			}
			var addresses []string
			for _, m := range members { // each with all before it: news may be lost
				if _, err := m.Join(addresses); err != nil {
					t.Fatal(err)
				}
				addresses = append(addresses, m.LocalNode().Address())
			}
			for i, m := range members {
				await.Until(t, "three members", func() bool { return m.NumMembers() == 3 })
				for _, node := range m.Members() {
					if node.Name == fmt.Sprint(i) {
						continue
					}
					inbox, message := received[node.Name[0]-'0'], fmt.Sprintf("%d to %s", i, node.Name)
					await.Until(t, "a packet from another member", func() bool {
						if err := m.SendBestEffort(node, []byte(message)); err != nil {
							t.Fatal(err)
						}
						select {
						case got := <-inbox:
							return got == message
						case <-time.After(10 * time.Millisecond): // lost
							return false
						}
					})
				}
			}
		})
	}
}

// TestTimestamp reads a packet some time after it has arrived.
func TestTimestamp(t *testing.T) {
	if runtime.GOOS == "linux" {
		conntest.AwaitTimeStamps(t)
	}
	a, b := newTransport(t, "127.0.0.1"), newTransport(t, "127.0.0.1")
	before := time.Now()
	for _, payload := range []string{"first", "ping"} {
		sent, err := a.WriteTo([]byte(payload), b.Conn().LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if sent.Before(before) || sent.After(time.Now()) {
			t.Errorf("sent at %v, it is %v", sent, time.Now())
		}
	}
	if err := a.Conn().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Nobody takes the first packet, so the transport does not see the second until later than the system has.
	time.Sleep(100 * time.Millisecond)
	taken := time.Now()
	for _, payload := range []string{"first", "ping"} {
		p := await.Value(t, "a packet", b.PacketCh())
		if string(p.Buf) != payload || p.From.String() != a.Conn().LocalAddr().String() {
			t.Errorf("received %q from %v", p.Buf, p.From)
		}
		if runtime.GOOS == "linux" && (p.Timestamp.Before(before) || p.Timestamp.After(taken)) {
			t.Errorf("sent after %v and taken from %v on, %q was received at %v", before, taken, payload, p.Timestamp)
		}
	}
}

// TestPacketIsKept sees that a later packet does not overwrite one that memberlist keeps.
func TestPacketIsKept(t *testing.T) {
	a, b := newTransport(t, "127.0.0.1"), newTransport(t, "127.0.0.1")
	var kept []*upstream.Packet
	for i := range 10 {
		if _, err := a.WriteTo(fmt.Appendf(nil, "%d", i), b.Conn().LocalAddr().String()); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, await.Value(t, "a packet", b.PacketCh()))
	}
	for i, p := range kept {
		if string(p.Buf) != fmt.Sprint(i) || cap(p.Buf) > 64 {
			t.Errorf("packet %d is %q, of capacity %d", i, p.Buf, cap(p.Buf))
		}
	}
}

// TestEmptyPacket sees that an empty datagram, which strangers may send, is no packet.
func TestEmptyPacket(t *testing.T) {
	a, b := newTransport(t, "127.0.0.1"), newTransport(t, "127.0.0.1")
	for _, payload := range []string{"", "full"} {
		if _, err := a.WriteTo([]byte(payload), b.Conn().LocalAddr().String()); err != nil {
			t.Fatal(err)
		}
	}
	if p := await.Value(t, "a packet", b.PacketCh()); string(p.Buf) != "full" {
		t.Errorf("received %q", p.Buf)
	}
}

func TestStreams(t *testing.T) {
	a, b := newTransport(t, "127.0.0.1"), newTransport(t, "127.0.0.1")
	out, err := a.DialTimeout(b.Conn().LocalAddr().String(), await.Limit)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in := await.Value(t, "a stream", b.StreamCh())
	defer in.Close()
	if in.RemoteAddr().String() != out.LocalAddr().String() {
		t.Errorf("stream from %v, want %v", in.RemoteAddr(), out.LocalAddr())
	}
}

// TestShutdown ends a Transport whose packets and streams nobody takes.
func TestShutdown(t *testing.T) {
	a, b := newTransport(t, "127.0.0.1"), newTransport(t, "127.0.0.1")
	addr := b.Conn().LocalAddr().String()
	if _, err := a.WriteTo([]byte("x"), addr); err != nil {
		t.Fatal(err)
	}
	stream, err := a.DialTimeout(addr, await.Limit)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for range 2 {
		await.Return(t, "Shutdown", func() {
			if err := b.Shutdown(); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
	if _, err := b.WriteTo([]byte("x"), addr); err == nil {
		t.Error("WriteTo works after Shutdown")
	}
}

func TestFinalAdvertiseAddr(t *testing.T) {
	bound := newTransport(t, "127.0.0.1")
	port := int(bound.Conn().LocalAddr().Port())
	for _, test := range []struct {
		ip       string
		port     int
		want     string
		wantPort int
	}{
		{"", 0, "127.0.0.1", port},
		{"", 7946, "127.0.0.1", port},
		{"192.0.2.1", 7946, "192.0.2.1", 7946},
		{"::ffff:192.0.2.1", 7946, "192.0.2.1", 7946},
		{"2001:db8::1", 7946, "2001:db8::1", 7946},
	} {
		ip, port, err := bound.FinalAdvertiseAddr(test.ip, test.port)
		if err != nil || ip.String() != test.want || port != test.wantPort {
			t.Errorf("%q, %d: %v, %d, %v", test.ip, test.port, ip, port, err)
		}
	}
	if _, _, err := bound.FinalAdvertiseAddr("localhost", 1); err == nil {
		t.Error("a host name was accepted")
	}
	wildcard := newTransport(t, "0.0.0.0")
	if ip, port, err := wildcard.FinalAdvertiseAddr("", 0); err == nil && (ip.IsUnspecified() || port == 0) {
		t.Errorf("a wildcard advertises %v, %d", ip, port)
	}
}

func TestPortInUse(t *testing.T) {
	taken := conntest.Loopback(t)
	if _, err := memberlist.NewTransport(t.Context(), "127.0.0.1", int(taken.LocalAddr().Port())); err == nil {
		t.Fatal("bound a port that is taken")
	}
	// The failure leaves no listener.
	l, err := net.Listen("tcp", taken.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
