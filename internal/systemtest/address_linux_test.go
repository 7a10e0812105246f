package systemtest_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

// Addresses of the host that is asked. The system would answer from the first of its family, or
// from one of its own choice.
var asked = []netip.Addr{
	netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("198.51.100.11"),
	netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("2001:db8:1::11"),
}

// newManyAddresses returns a LAN on which near has all the addresses of asked.
func newManyAddresses(t *testing.T) *lan {
	t.Helper()
	l := newLAN(t)
	l.near.Addresses(l.nearEnd, "192.0.2.11/24", "198.51.100.11/24", "2001:db8::11/64", "2001:db8:1::11/64")
	l.far.IP("route add 198.51.100.0/24 dev %s", l.farEnd.Name)
	l.far.IP("-6 route add 2001:db8:1::/64 dev %s", l.farEnd.Name)
	l.near.IP("route add default dev %s", l.nearEnd.Name)
	return l
}

// isAsked says whether a handle of a network serves an address.
func isAsked(network string, addr netip.Addr) bool {
	return network == "udp" || addr.Is4() == (network == "udp4")
}

// The ways in which a server answers.
var servers = map[string]func(t *testing.T, c *datagram.Conn){
	"Recv and Send": func(t *testing.T, c *datagram.Conn) {
		received := c.Recv()
		go func() {
			for d := range received {
				if err := c.Send(t.Context(), d.Reply(d.Payload)); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
					return
				}
				d.Release()
			}
		}()
	},
	"Serve and Send": func(t *testing.T, c *datagram.Conn) {
		go c.Serve(t.Context(), func(d datagram.Datagram) {
			_ = c.Send(t.Context(), d.Reply(d.Payload))
			d.Release()
		})
	},
	"Serve and TrySend": func(t *testing.T, c *datagram.Conn) {
		go c.Serve(t.Context(), func(d datagram.Datagram) {
			_, _ = c.TrySend(d.Reply(d.Payload))
			d.Release()
		})
	},
}

// A connected client refuses what comes from an address that it did not ask.
func TestReplyFromAskedAddress(t *testing.T) {
	l := newManyAddresses(t)
	for _, network := range []string{"udp4", "udp6", "udp"} {
		for name, serve := range servers {
			t.Run(network+"/"+name, func(t *testing.T) {
				server := listenIn(t, l.near, network, ":0")
				serve(t, server)
				for _, addr := range asked {
					if !isAsked(network, addr) {
						continue
					}
					client := dialIn(t, l.far, "udp", at(addr, server))
					conntest.Send(t, client, datagram.To(netip.AddrPort{}, []byte(addr.String())))
					conntest.Expect(t, client, addr.String())
				}
			})
		}
	}
}

// Questions to several addresses that are received together are answered together.
func TestReplyFromAskedAddressInBatches(t *testing.T) {
	const questions = 50
	l := newManyAddresses(t)
	server := listenIn(t, l.near, "udp", ":0", datagram.WithReadBuffer(4<<20))
	var clients []*datagram.Conn
	for _, addr := range asked {
		clients = append(clients, dialIn(t, l.far, "udp", at(addr, server)))
	}
	for i := range questions {
		for _, client := range clients {
			conntest.Send(t, client, datagram.To(netip.AddrPort{}, strconv.AppendInt(nil, int64(i), 10)))
		}
	}
	servers["Serve and Send"](t, server)
	for _, client := range clients {
		for i := range questions {
			conntest.Expect(t, client, strconv.Itoa(i))
		}
	}
}

// dig accepts no answer from an address that it did not ask.
func TestReplyToDig(t *testing.T) {
	l := newManyAddresses(t)
	server := listenIn(t, l.near, "udp", ":0")
	const response = 0x80 // the flag QR in the third byte of the header (RFC 1035 section 4.1.1)
	go server.Serve(t.Context(), func(d datagram.Datagram) {
		answer := append([]byte(nil), d.Payload...)
		answer[2] |= response
		_ = server.Send(t.Context(), d.Reply(answer))
		d.Release()
	})
	for _, addr := range asked {
		out := l.far.Run("dig", "@"+addr.String(), "-p", fmt.Sprint(server.LocalAddr().Port()),
			"+tries=1", "+time=5", "+noedns", "example.com")
		if !strings.Contains(out, "status: NOERROR") {
			t.Errorf("dig asked %v:\n%s", addr, out)
		}
	}
}

func TestReplyMetadata(t *testing.T) {
	l := newManyAddresses(t)
	for _, network := range []string{"udp4", "udp6", "udp"} {
		server := listenIn(t, l.near, network, ":0")
		for _, addr := range asked {
			if !isAsked(network, addr) {
				continue
			}
			client := dialIn(t, l.far, "udp", at(addr, server))
			conntest.Send(t, client, datagram.To(netip.AddrPort{}, []byte("x")))
			d := conntest.Expect(t, server, "x")
			if d.Meta.Local != addr || d.Meta.IfIndex != l.nearEnd.Index || d.Addr != client.LocalAddr() {
				t.Errorf("%s: from %v to %v through %d; want %v, %v, %d", network,
					d.Addr, d.Meta.Local, d.Meta.IfIndex, client.LocalAddr(), addr, l.nearEnd.Index)
			}
			reply := d.Reply(nil)
			if reply.Addr != d.Addr || reply.Meta.Local != addr || reply.Meta.IfIndex != 0 {
				t.Errorf("%s: reply to %v from %v through %d", network, reply.Addr, reply.Meta.Local, reply.Meta.IfIndex)
			}
		}
	}
}

// The address to send from may be chosen for each datagram.
func TestSourceAddress(t *testing.T) {
	l := newManyAddresses(t)
	for _, network := range []string{"udp4", "udp6", "udp"} {
		sender := listenIn(t, l.near, network, ":0")
		for _, f := range families {
			if network != "udp" && network != f.network {
				continue
			}
			receiver := listenIn(t, l.far, f.network, ":0")
			for _, addr := range asked {
				if addr.Is4() != f.near.Is4() {
					continue
				}
				d := datagram.To(at(f.far, receiver), []byte("x"))
				d.Meta.Local = addr
				conntest.Send(t, sender, d)
				if got := conntest.Expect(t, receiver, "x").Addr; got != at(addr, sender) {
					t.Errorf("%s: received from %v, want %v", network, got, at(addr, sender))
				}
			}
			// An address of another host, and one of the other family, which the
			// system would ignore.
			foreign, mismatch := f.far, asked[0]
			if f.network == "udp4" {
				mismatch = asked[len(asked)-1]
			}
			for _, local := range []netip.Addr{foreign, mismatch} {
				d := datagram.To(at(f.far, receiver), []byte("x"))
				d.Meta.Local = local
				if err := conntest.Outcome(t, sender, d); err == nil {
					t.Errorf("%s: sending to %v from %v succeeded", network, d.Addr, local)
				}
			}
		}
	}
}

// Metadata costs something, so a handle has none that it was not asked for.
func TestMetadataByDefault(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		sender := listenIn(t, l.far, f.network, ":0")
		specific := listenIn(t, l.near, f.network, netip.AddrPortFrom(f.near, 0).String())
		conntest.Send(t, sender, datagram.To(specific.LocalAddr(), []byte("x")))
		if d := conntest.Expect(t, specific, "x"); d.Meta != (datagram.Metadata{}) {
			t.Errorf("bound to an address: %+v", d.Meta)
		}
		wildcard := listenIn(t, l.near, f.network, ":0")
		conntest.Send(t, sender, datagram.To(at(f.near, wildcard), []byte("x")))
		want := datagram.Metadata{Local: f.near, IfIndex: l.nearEnd.Index}
		if d := conntest.Expect(t, wildcard, "x"); d.Meta != want {
			t.Errorf("bound to the wildcard address: %+v, want %+v", d.Meta, want)
		}
		asked := listenIn(t, l.near, f.network, netip.AddrPortFrom(f.near, 0).String(), datagram.WithMetadata(datagram.MetaLocal))
		conntest.Send(t, sender, datagram.To(asked.LocalAddr(), []byte("x")))
		if d := conntest.Expect(t, asked, "x"); d.Meta != want {
			t.Errorf("asked for: %+v, want %+v", d.Meta, want)
		}
	})
}

func TestMetadataBothWays(t *testing.T) {
	l := newLAN(t)
	all := datagram.WithMetadata(datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime)
	const expedited = 46 << 2 // the DSCP of expedited forwarding (RFC 3246)
	ecns := []datagram.ECN{datagram.NotECT, datagram.ECT0, datagram.ECT1, datagram.CE}
	for _, network := range []string{"udp4", "udp6", "udp"} {
		near := listenIn(t, l.near, network, ":0", all)
		for _, f := range families {
			if network != "udp" && network != f.network {
				continue
			}
			far := listenIn(t, l.far, f.network, ":0", all)
			for i, ecn := range ecns {
				there := datagram.To(at(f.near, near), []byte("there"))
				there.Meta.TrafficClass = expedited | uint8(ecn)
				there.Meta.HopLimit = 10 + i
				before := time.Now()
				conntest.Send(t, far, there)
				d := conntest.Expect(t, near, "there")
				checkMetadata(t, network+" there", d.Meta, expedited, ecn, 10+i, before)

				back := d.Reply([]byte("back"))
				back.Meta.TrafficClass, back.Meta.HopLimit = uint8(ecn), 255-i
				before = time.Now()
				conntest.Send(t, near, back)
				checkMetadata(t, network+" back", conntest.Expect(t, far, "back").Meta, 0, ecn, 255-i, before)
			}
			// What one datagram asks for is no other's.
			conntest.Send(t, near, datagram.To(at(f.far, far), []byte("plain")))
			checkMetadata(t, network+" plain", conntest.Expect(t, far, "plain").Meta, 0, datagram.NotECT, 64, time.Time{})
		}
	}
}

func checkMetadata(t *testing.T, what string, m datagram.Metadata, class uint8, ecn datagram.ECN, hops int, since time.Time) {
	t.Helper()
	if m.TrafficClass != class|uint8(ecn) || m.ECN() != ecn || m.HopLimit != hops {
		t.Errorf("%s: traffic class %#x, ECN %d, hop limit %d; want %#x, %d, %d",
			what, m.TrafficClass, m.ECN(), m.HopLimit, class|uint8(ecn), ecn, hops)
	}
	const slack = 100 * time.Millisecond // should the clock be set meanwhile
	if m.Time.IsZero() || m.Time.Before(since.Add(-slack)) || m.Time.After(time.Now().Add(slack)) {
		t.Errorf("%s: received at %v, which is not between %v and now", what, m.Time, since)
	}
}

// Datagrams to one destination that differ in what travels beside them are
// not sent as one.
func TestMetadataInBatches(t *testing.T) {
	const count = 200
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far, f.network, ":0", datagram.WithReadBuffer(4<<20),
			datagram.WithMetadata(datagram.MetaHopLimit, datagram.MetaTrafficClass))
		sender := listenIn(t, l.near, f.network, ":0", datagram.WithTrafficClass(4), datagram.WithTTL(99))
		for i := range count {
			d := datagram.To(at(f.far, receiver), []byte{byte(i)})
			d.Meta.TrafficClass, d.Meta.HopLimit = uint8(i/3%4), i/5%3
			if err := sender.Send(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		for i := range count {
			d := conntest.Next(t, receiver)
			class, hops := uint8(i/3%4), i/5%3
			if class == 0 { // the handle's
				class = 4
			}
			if hops == 0 {
				hops = 99
			}
			if d.Payload[0] != byte(i) || d.Meta.TrafficClass != class || d.Meta.HopLimit != hops {
				t.Fatalf("number %d: payload %d, class %d, hop limit %d; want class %d, hop limit %d",
					i, d.Payload[0], d.Meta.TrafficClass, d.Meta.HopLimit, class, hops)
			}
		}
	})
}
