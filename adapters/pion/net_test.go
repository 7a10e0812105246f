package pion_test

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"

	"example.com/datagram"
	"example.com/datagram/adapters/pion"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
)

func newNet(t *testing.T, options ...datagram.Option) *pion.Net {
	t.Helper()
	n, err := pion.NewNet(options...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newHost returns a Net on a new host of a simulated network.
func newHost(t *testing.T, network *datagramtest.Network, addr string) transport.Net {
	t.Helper()
	host, err := network.AddHost(netip.MustParseAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	n, err := pion.NewHostNet(host)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func closeAtEnd[T interface{ Close() error }](t *testing.T) func(T, error) T {
	t.Helper()
	return func(c T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// exchange sends a datagram each way.
func exchange(t *testing.T, client net.Conn, server net.PacketConn) {
	t.Helper()
	for _, c := range []interface{ SetDeadline(time.Time) error }{client, server} {
		if err := c.SetDeadline(time.Now().Add(await.Limit)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "question" {
		t.Fatalf("the server read %q, %v", buf[:n], err)
	}
	if _, err := server.WriteTo([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	if n, err = client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("the client read %q, %v", buf[:n], err)
	}
}

// TestExchange uses all ways to listen and to dial, on the system's network and on a simulated one.
func TestExchange(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Millisecond})
	t.Cleanup(func() { network.Close() })
	for name, n := range map[string]transport.Net{"system": newNet(t), "simulated": newHost(t, network, "10.0.0.1")} {
		loopback := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
		servers := map[string]func() (net.PacketConn, error){
			"ListenPacket": func() (net.PacketConn, error) { return n.ListenPacket("udp4", "127.0.0.1:0") },
			"ListenUDP":    func() (net.PacketConn, error) { return n.ListenUDP("udp", loopback) },
			"ListenConfig": func() (net.PacketConn, error) {
				return n.CreateListenConfig(new(net.ListenConfig)).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
			},
		}
		clients := map[string]func(to *net.UDPAddr) (net.Conn, error){
			"Dial":         func(to *net.UDPAddr) (net.Conn, error) { return n.Dial("udp", to.String()) },
			"DialUDP":      func(to *net.UDPAddr) (net.Conn, error) { return n.DialUDP("udp4", nil, to) },
			"DialUDP from": func(to *net.UDPAddr) (net.Conn, error) { return n.DialUDP("udp", loopback, to) },
			"Dialer": func(to *net.UDPAddr) (net.Conn, error) {
				return n.CreateDialer(&net.Dialer{LocalAddr: loopback, Timeout: await.Limit}).Dial("udp", to.String())
			},
		}
		for listen, newServer := range servers {
			for dial, newClient := range clients {
				t.Run(name+" "+listen+" "+dial, func(t *testing.T) {
					server := closeAtEnd[net.PacketConn](t)(newServer())
					client := closeAtEnd[net.Conn](t)(newClient(server.LocalAddr().(*net.UDPAddr)))
					if !client.LocalAddr().(*net.UDPAddr).IP.Equal(loopback.IP) {
						t.Errorf("dialled from %v", client.LocalAddr())
					}
					if _, ok := client.(ice.AddrPortReaderWriter); !ok {
						t.Errorf("%T makes ICE allocate", client)
					}
					exchange(t, client, server)
				})
			}
		}
	}
}

// TestErrors sees that a failure returns nil, and not an interface that holds a nil pointer.
func TestErrors(t *testing.T) {
	n := newNet(t)
	taken := closeAtEnd[transport.UDPConn](t)(n.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})).LocalAddr().(*net.UDPAddr)
	if c, err := n.ListenUDP("udp", taken); c != nil || err == nil {
		t.Errorf("ListenUDP on a taken port: %v, %v", c, err)
	}
	if c, err := n.ListenPacket("udp", taken.String()); c != nil || err == nil {
		t.Errorf("ListenPacket on a taken port: %v, %v", c, err)
	}
	if c, err := n.DialUDP("udp", taken, taken); c != nil || err == nil {
		t.Errorf("DialUDP from a taken port: %v, %v", c, err)
	}
	if c, err := n.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); c != nil || err == nil {
		t.Errorf("DialUDP to port 0: %v, %v", c, err)
	}
	if c, err := n.Dial("udp", "127.0.0.1:port"); c != nil || err == nil {
		t.Errorf("Dial to no address: %v, %v", c, err)
	}
	late := n.CreateDialer(&net.Dialer{Deadline: time.Unix(1, 0)})
	if c, err := late.Dial("udp", "127.0.0.1:9"); c != nil || err == nil {
		t.Errorf("Dial after the deadline: %v, %v", c, err)
	}
}

// TestControl sees that control functions get the socket.
func TestControl(t *testing.T) {
	failure := errors.New("control")
	control := func(string, string, syscall.RawConn) error { return failure }
	n := newNet(t)
	if _, err := n.CreateDialer(&net.Dialer{Control: control}).Dial("udp", "127.0.0.1:9"); !errors.Is(err, failure) {
		t.Errorf("Dial: %v", err)
	}
	if _, err := n.CreateListenConfig(&net.ListenConfig{Control: control}).ListenPacket(t.Context(), "udp", "127.0.0.1:0"); !errors.Is(err, failure) {
		t.Errorf("ListenPacket: %v", err)
	}
}

// TestOtherNetworks sees that what is not UDP is left to package net.
func TestOtherNetworks(t *testing.T) {
	n := newNet(t)
	l := closeAtEnd[net.Listener](t)(n.CreateListenConfig(new(net.ListenConfig)).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	c := closeAtEnd[net.Conn](t)(n.Dial("tcp", l.Addr().String()))
	if _, ok := c.(*net.TCPConn); !ok {
		t.Errorf("dialled a %T", c)
	}
	if runtime.GOOS == "windows" {
		return
	}
	p := closeAtEnd[net.PacketConn](t)(n.ListenPacket("unixgram", t.TempDir()+"/socket"))
	if _, ok := p.(*net.UnixConn); !ok {
		t.Errorf("listened with a %T", p)
	}
}

// TestUDPMux lets an ICE agent use one handle, which others may share.
func TestUDPMux(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Millisecond})
	t.Cleanup(func() { network.Close() })
	shared := closeAtEnd[*datagram.Conn](t)(network.Listen(t.Context(), "udp", "10.0.0.9:7000"))
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: shared.PacketConn()})
	t.Cleanup(func() { mux.Close() })
	caller, callee := newAgent(network, "10.0.0.1", ice.WithUDPMux(mux)), newAgent(network, "10.0.0.2")
	t.Cleanup(func() { caller.Close() })
	t.Cleanup(func() { callee.Close() })

	conn := connect(caller, callee)
	if got := conn.LocalAddr().String(); got != shared.LocalAddr().String() {
		t.Errorf("connected from %v", got)
	}
	if s := shared.Stats(); s.Sent == 0 || s.Received == 0 {
		t.Errorf("the handle has sent %d datagrams and received %d", s.Sent, s.Received)
	}
}

func TestSimulatedInterfaces(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	t.Cleanup(func() { network.Close() })
	n := newHost(t, network, "10.0.0.1")
	all, err := n.Interfaces()
	if err != nil || len(all) != 1 {
		t.Fatalf("interfaces %v, %v", all, err)
	}
	if addrs, err := all[0].Addrs(); err != nil || len(addrs) != 1 || addrs[0].String() != "10.0.0.1/32" {
		t.Errorf("addresses %v, %v", addrs, err)
	}
	if ifi, err := n.InterfaceByName(all[0].Name); err != nil || ifi.Index != all[0].Index {
		t.Errorf("by name: %v, %v", ifi, err)
	}
	if ifi, err := n.InterfaceByIndex(all[0].Index); err != nil || ifi.Name != all[0].Name {
		t.Errorf("by index: %v, %v", ifi, err)
	}
	if _, err := n.InterfaceByName("none"); !errors.Is(err, transport.ErrInterfaceNotFound) {
		t.Errorf("an interface that does not exist: %v", err)
	}
}
