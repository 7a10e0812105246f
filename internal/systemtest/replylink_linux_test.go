package systemtest_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// newLinkLocalLANs returns two LANs with IPv4 link-local addresses, the same on both: an answer
// that leaves by the wrong one reaches the wrong host. near has other addresses too.
func newLinkLocalLANs(t *testing.T) *twoLANs {
	t.Helper()
	l := newTwoLANs(t)
	for i := range l.far {
		l.near.Addresses(l.nearEnd[i], "169.254.0.1/16")
		l.far[i].IP("address flush dev %s", l.farEnd[i].Name) // link-local addresses alone
		l.far[i].Addresses(l.farEnd[i], "169.254.0.2/16", "fe80::2/64")
		l.far[i].IP("route add default dev %s", l.farEnd[i].Name)
	}
	return l
}

// linkLocalQuestions are the ways in which a link-local sender may ask.
var linkLocalQuestions = []struct{ network, to string }{
	{"udp4", "169.254.0.1"},
	{"udp4", "192.0.2.1"}, // of the first LAN, for the second too
	{"udp4", "233.252.0.1"},
	{"udp4", "169.254.255.255"},
	{"udp4", "255.255.255.255"},
	{"udp6", "fe80::1"},
	{"udp6", "ff02::114"},
}

// eachLinkLocalQuestion calls answer with a server that both LANs then ask. answer must answer each
// question and report where it came from.
func eachLinkLocalQuestion(t *testing.T, answer func(t *testing.T, server *datagram.Conn) (netip.AddrPort, error)) {
	l := newLinkLocalLANs(t)
	for _, test := range linkLocalQuestions {
		to := netip.MustParseAddr(test.to)
		for _, network := range []string{test.network, "udp"} {
			t.Run(fmt.Sprint(network, " ", to), func(t *testing.T) {
				server := listenIn(t, l.near, network, ":0")
				for i := range l.far {
					if to.IsMulticast() {
						membership(t, server.JoinGroup(to, l.nearEnd[i]))
					}
				}
				for i := range l.far {
					client := listenIn(t, l.far[i], test.network, ":0", datagram.WithBroadcast(),
						datagram.WithMulticastInterface(l.farEnd[i]))
					question := datagram.To(at(to, server), []byte("question"))
					question.Meta.IfIndex = l.farEnd[i].Index
					conntest.Send(t, client, question)
					from, err := answer(t, server)
					if err != nil || !from.Addr().IsLinkLocalUnicast() {
						t.Fatalf("question from %v, %v; want a link-local address", from, err)
					}
					conntest.Expect(t, client, "answer")
				}
			})
		}
	}
}

// The sender's scope decides where an answer leaves, whatever the question was sent to.
func TestReplyToLinkLocalSender(t *testing.T) {
	eachLinkLocalQuestion(t, func(t *testing.T, server *datagram.Conn) (netip.AddrPort, error) {
		d := conntest.Expect(t, server, "question")
		conntest.Send(t, server, d.Reply([]byte("answer")))
		return d.Addr, nil
	})
}

func TestWriteToLinkLocalPeer(t *testing.T) {
	eachLinkLocalQuestion(t, func(_ *testing.T, server *datagram.Conn) (netip.AddrPort, error) {
		p := server.PacketConn()
		_, from, err := p.ReadFromUDPAddrPort(make([]byte, 100))
		if err == nil {
			_, err = p.WriteToUDPAddrPort([]byte("answer"), from)
		}
		return from, err
	})
}

// A host may ask itself.
func TestReplyToLinkLocalSelf(t *testing.T) {
	l := newLinkLocalLANs(t)
	for network, zone := range map[string]string{"udp4": "", "udp6": "%" + l.nearEnd[1].Name, "udp": ""} {
		server := listenIn(t, l.near, network, ":0")
		addr := netip.MustParseAddr("169.254.0.1")
		if zone != "" {
			addr = netip.MustParseAddr("fe80::1" + zone)
		}
		client := dialIn(t, l.near, "udp", at(addr, server))
		conntest.Send(t, client, conntest.ToPeer("question"))
		conntest.Send(t, server, conntest.Expect(t, server, "question").Reply([]byte("answer")))
		conntest.Expect(t, client, "answer")
	}
}

// boundFile returns a socket that is bound to an address by itself: package net would bind the
// wildcard for a group.
func boundFile(t *testing.T, n *netns.Namespace, addr netip.Addr) *os.File {
	t.Helper()
	file := newSocket(t, n, unix.AF_INET, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, file, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()})
	})
	return file
}

// Handles that are bound to no wildcard but hear link-local senders on both links answer as others do.
func TestReplyToLinkLocalSenderFromBoundAddress(t *testing.T) {
	l := newLinkLocalLANs(t)
	for _, address := range []string{"169.254.0.1", "169.254.255.255", "233.252.0.1", "255.255.255.255"} {
		t.Run(address, func(t *testing.T) {
			addr := netip.MustParseAddr(address)
			server := conntest.Open(t, boundFile(t, l.near, addr))
			for i := range l.far {
				if addr.IsMulticast() {
					membership(t, server.JoinGroup(addr, l.nearEnd[i]))
				}
			}
			for i := range l.far {
				client := listenIn(t, l.far[i], "udp4", ":0", datagram.WithBroadcast(), datagram.WithMulticastInterface(l.farEnd[i]))
				conntest.Send(t, client, datagram.To(at(addr, server), []byte("question")))
				conntest.Send(t, server, conntest.Expect(t, server, "question").Reply([]byte("answer")))
				conntest.Expect(t, client, "answer")
			}
		})
	}
}

// Only unicast addresses are sources: a handle that is bound to another sends from that of the interface.
func TestInterfaceOfHandleBoundToNoSource(t *testing.T) {
	l := newTwoLANs(t)
	for _, address := range []string{"192.0.2.255", "198.51.100.255", "233.252.0.1", "255.255.255.255"} {
		t.Run(address, func(t *testing.T) {
			addr := netip.MustParseAddr(address)
			c := conntest.Open(t, boundFile(t, l.near, addr), datagram.WithBroadcast())
			for i, source := range []string{"192.0.2.1", "198.51.100.1"} {
				receiver := listenIn(t, l.far[i], "udp4", ":0")
				for _, to := range []netip.Addr{netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("192.0.2.2")} {
					d := datagram.To(at(to, receiver), []byte("out"))
					d.Meta.IfIndex = l.nearEnd[i].Index
					conntest.Send(t, c, d)
					if from := conntest.Expect(t, receiver, "out").Addr.Addr(); from != netip.MustParseAddr(source) {
						t.Errorf("to %v by interface %d: from %v, want %s", to, i, from, source)
					}
				}
			}
			// By name Listen does the same.
			if addr.IsMulticast() {
				return
			}
			listening := listenIn(t, l.near, "udp4", netip.AddrPortFrom(addr, 0).String(), datagram.WithBroadcast())
			receiver := listenIn(t, l.far[1], "udp4", ":0")
			d := datagram.To(at(netip.MustParseAddr("192.0.2.2"), receiver), []byte("out"))
			d.Meta.IfIndex = l.nearEnd[1].Index
			conntest.Send(t, listening, d)
			conntest.Expect(t, receiver, "out")
		})
	}
}

// What was queued before Open tells where it was sent to, but of IPv4 not what to answer from.
func TestReplyToWhatWasQueuedBeforeOpen(t *testing.T) {
	l := newManyAddresses(t)
	l.near.IP("route add local 203.0.113.0/24 dev lo") // any address of it is the host's
	l.far.IP("route add 203.0.113.0/24 via 192.0.2.1")
	routed := netip.MustParseAddr("203.0.113.77")
	for name, test := range map[string]struct {
		domain, only int
		serves       func(netip.Addr) bool
	}{
		"IPv4":       {unix.AF_INET, 0, netip.Addr.Is4},
		"IPv6":       {unix.AF_INET6, 1, netip.Addr.Is6},
		"dual-stack": {unix.AF_INET6, 0, netip.Addr.IsValid},
	} {
		t.Run(name, func(t *testing.T) {
			for _, option := range []struct {
				name string
				opts []datagram.Option
			}{{"batches", nil}, {"single", []datagram.Option{datagram.WithOffload(datagram.OffloadNone)}}, {"portable", []datagram.Option{conntest.Portable()}}} {
				t.Run(option.name, func(t *testing.T) {
					file := newSocket(t, l.near, test.domain, unix.SOCK_DGRAM, 0)
					conntest.OnFile(t, file, func(fd int) error {
						if test.domain == unix.AF_INET {
							return unix.Bind(fd, &unix.SockaddrInet4{})
						}
						return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, test.only),
							unix.Bind(fd, &unix.SockaddrInet6{}))
					})
					port := portOf(t, file)
					clients := make(map[string]*datagram.Conn)
					for _, addr := range append([]netip.Addr{routed}, asked...) {
						if test.serves(addr) {
							// A connected client refuses what comes from an address that it did not ask.
							clients[addr.String()] = dialIn(t, l.far, "udp", netip.AddrPortFrom(addr, port))
							conntest.Send(t, clients[addr.String()], conntest.ToPeer(addr.String()))
						}
					}
					if test.serves(asked[0]) {
						for _, to := range []string{"192.0.2.255", "255.255.255.255"} {
							clients[to] = listenIn(t, l.far, "udp4", ":0", datagram.WithBroadcast())
							d := datagram.To(netip.AddrPortFrom(netip.MustParseAddr(to), port), []byte(to))
							d.Meta.IfIndex = l.farEnd.Index
							conntest.Send(t, clients[to], d)
						}
					}
					server := conntest.Open(t, file, option.opts...)
					for range clients {
						d := conntest.Next(t, server)
						if got := d.Meta.Local.String(); got != string(d.Payload) {
							t.Errorf("sent to %s, received as if to %s", d.Payload, got)
						}
						conntest.Send(t, server, d.Reply(d.Payload))
						client := clients[string(d.Payload)]
						conntest.Expect(t, client, string(d.Payload))
						if errs := client.Stats().ReceiveErrors; errs > 0 {
							t.Errorf("%d errors", errs)
						}
					}
				})
			}
		})
	}
}

// portOf returns the port that a socket is bound to.
func portOf(t *testing.T, file *os.File) (port uint16) {
	t.Helper()
	conntest.OnFile(t, file, func(fd int) error {
		sa, err := unix.Getsockname(fd)
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			port = uint16(sa.Port)
		case *unix.SockaddrInet6:
			port = uint16(sa.Port)
		default:
			return errors.Join(err, syscall.EAFNOSUPPORT)
		}
		return err
	})
	return port
}
