package systemtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/ethtool"
	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/testenv"
)

// A stretch is how many datagrams the tests of this file send together. They find
// room in a receive buffer of the default size.
const stretch = 40

// stretchOf returns datagrams of one size that can be told apart.
func stretchOf(to netip.AddrPort, first, size int) []datagram.Datagram {
	ds := make([]datagram.Datagram, stretch)
	for i := range ds {
		payload := fmt.Appendf(nil, "%06d", first+i)
		ds[i] = datagram.To(to, append(payload, strings.Repeat("-", size-len(payload))...))
	}
	return ds
}

// A flow is the traffic of a test to one destination. What arrives twice, or not, shows as a
// number that is not the next.
type flow struct {
	from, to *datagram.Conn
	addr     netip.AddrPort
	size     int
	next     int
}

// batch sends one stretch by TrySendBatch.
func (f *flow) batch(t *testing.T) {
	t.Helper()
	expectBatch(t, f.from, stretchOf(f.addr, f.next, f.size))
	f.expect(t)
}

// queue sends one stretch through the queue. Each datagram completes.
func (f *flow) queue(t *testing.T) {
	t.Helper()
	for _, err := range queued(t, f.from, stretchOf(f.addr, f.next, f.size)) {
		conntest.ExpectError(t, "done", err, nil)
	}
	f.expect(t)
}

// expect receives one stretch.
func (f *flow) expect(t *testing.T) {
	t.Helper()
	for _, want := range stretchOf(f.addr, f.next, f.size) {
		conntest.Expect(t, f.to, string(want.Payload))
	}
	f.next += stretch
}

// queued sends datagrams through the queue and returns the result of each.
func queued(t *testing.T, c *datagram.Conn, ds []datagram.Datagram) []error {
	t.Helper()
	results := make([]error, len(ds))
	completed := make(chan struct{}, 2*len(ds)) // there would be room for those that complete twice
	for i, d := range ds {
		if err := c.SendFunc(background, d, func(err error) {
			results[i] = err
			completed <- struct{}{}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range ds {
		await.Signal(t, "done", completed)
	}
	if len(completed) > 0 {
		t.Errorf("%d datagrams completed twice", len(completed))
	}
	return results
}

// packets returns how many packets have left through an interface. What the system is to cut
// later leaves it as one.
func packets(t *testing.T, n *netns.Namespace, device string) int {
	t.Helper()
	var links []struct {
		Stats64 struct{ Tx struct{ Packets int } }
	}
	if err := json.Unmarshal([]byte(n.IP("-j -s link show dev %s", device)), &links); err != nil || len(links) != 1 {
		t.Fatalf("%v, %d interfaces", err, len(links))
	}
	return links[0].Stats64.Tx.Packets
}

// expectPackets checks how many packets leave through an interface while f runs.
func expectPackets(t *testing.T, n *netns.Namespace, device string, want int, f func()) {
	t.Helper()
	before := packets(t, n, device)
	f()
	// The kernel may say something of its own, as that a neighbour is still there.
	if got := packets(t, n, device) - before; got < want || got > want+3 {
		t.Errorf("%d datagrams left in %d packets, want %d", stretch, got, want)
	}
}

// otherLink joins two hosts by a second link and returns the near end and the far address.
func otherLink(l *lan, f family) (*net.Interface, netip.Addr) {
	nearEnd, farEnd := netns.Link(l.near, l.far)
	near, far := "198.51.100.1", "198.51.100.2"
	bits := 24
	if f.far.Is6() {
		near, far, bits = "2001:db8:1::1", "2001:db8:1::2", 64
	}
	l.near.Addresses(nearEnd, fmt.Sprintf("%s/%d", near, bits))
	l.far.Addresses(farEnd, fmt.Sprintf("%s/%d", far, bits))
	return nearEnd, netip.MustParseAddr(far)
}

// Segments larger than the way to a destination cannot be: what was to be segmented is sent one
// by one and fragmented. That concerns this destination and no other.
func TestPathTooNarrowForSegments(t *testing.T) {
	testenv.AllOffloads(t)
	for _, narrow := range []struct {
		name string
		make func(l *lan, f family, mtu int)
	}{
		{"device", func(l *lan, _ family, mtu int) {
			l.near.IP("link set dev %s mtu %d", l.nearEnd.Name, mtu)
		}},
		{"route", func(l *lan, f family, mtu int) {
			l.near.IP("route add %v dev %s mtu %d", f.far, l.nearEnd.Name, mtu)
		}},
	} {
		t.Run(narrow.name, func(t *testing.T) {
			eachFamily(t, func(t *testing.T, f family) {
				l := newLAN(t)
				wideEnd, wideAddr := otherLink(l, f)
				mtu, size := 600, 1000
				if f.far.Is6() {
					mtu, size = 1280, 1400 // the least that IPv6 allows
				}
				c := listenIn(t, l.near, f.network, ":0")
				near := listenIn(t, l.far, f.network, ":0")
				far := listenIn(t, l.far, f.network, ":0")
				narrowed := flow{from: c, to: near, addr: at(f.far, near), size: size}
				wide := flow{from: c, to: far, addr: at(wideAddr, far), size: size}
				narrowed.batch(t)
				wide.batch(t)
				expectPackets(t, l.near, l.nearEnd.Name, 1, func() { narrowed.batch(t) })

				narrow.make(l, f, mtu)
				narrowed.queue(t)
				narrowed.batch(t)
				gso := c.Capabilities().GSO
				if !gso.Active || !strings.Contains(gso.Reason, syscall.EMSGSIZE.Error()) {
					t.Errorf("GSO %v, want it on, but for a destination because of EMSGSIZE", gso)
				}
				// Each in two fragments, and the system is not asked in vain again.
				tries := c.Stats().Retries
				expectPackets(t, l.near, l.nearEnd.Name, 2*stretch, func() { narrowed.batch(t) })
				if s := c.Stats(); s.Retries != tries || s.SendErrors != 0 || s.Sent != uint64(narrowed.next+wide.next) {
					t.Errorf("%+v, want %d sent without errors, and no retries after %d", s, narrowed.next+wide.next, tries)
				}
				expectPackets(t, l.near, wideEnd.Name, 1, func() { wide.batch(t) })
				wide.queue(t)
			})
		})
	}
}

// A blackhole fails what is sent to it, each datagram by itself and nothing else.
func TestBlackholeFailsItsDatagramsOnly(t *testing.T) {
	testenv.AllOffloads(t)
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		hole := netip.MustParseAddr("203.0.113.1")
		if f.far.Is6() {
			hole = netip.MustParseAddr("2001:db8:dead::1")
		}
		l.near.IP("route add blackhole %v", hole)
		c := listenIn(t, l.near, f.network, ":0")
		to := listenIn(t, l.far, f.network, ":0")
		alive := flow{from: c, to: to, addr: at(f.far, to), size: 100}
		lost := netip.AddrPortFrom(hole, 9)

		for range 3 {
			var mixed []datagram.Datagram
			dead := stretchOf(lost, 0, alive.size)
			for i, d := range stretchOf(alive.addr, alive.next, alive.size) {
				mixed = append(mixed, d, dead[i])
			}
			for i, err := range queued(t, c, mixed) {
				var want error
				if mixed[i].Addr == lost {
					want = syscall.EINVAL
				}
				conntest.ExpectError(t, fmt.Sprint("done to ", mixed[i].Addr), err, want)
			}
			alive.expect(t)
		}
		if n, err := c.TrySendBatch(stretchOf(lost, 0, alive.size)); n != 0 {
			t.Errorf("TrySendBatch: %d, %v", n, err)
		} else {
			conntest.ExpectError(t, "TrySendBatch", err, syscall.EINVAL)
		}
		if s := c.Stats(); s.Sent != 3*stretch || s.SendErrors != 3*stretch+1 {
			t.Errorf("%+v, want %d sent and one more failed", s, 3*stretch)
		}
		// Segmentation is not what failed.
		if gso := c.Capabilities().GSO; !gso.Active || gso.Reason != "" {
			t.Errorf("GSO %v, want on", gso)
		}
		expectPackets(t, l.near, l.nearEnd.Name, 1, func() { alive.batch(t) })
	})
}

// Where the device cannot segment the system does it.
func TestDevicesWithoutOffloads(t *testing.T) {
	testenv.AllOffloads(t)
	for _, features := range [][]string{{"tx-udp-segmentation"}, {"tx-udp-segmentation", "tx-checksum-ip-generic"}} {
		t.Run(strings.Join(features, " "), func(t *testing.T) {
			l := newLAN(t)
			for _, feature := range features {
				for n, device := range map[*netns.Namespace]string{l.near: l.nearEnd.Name, l.far: l.farEnd.Name} {
					n.Do(func() {
						if err := ethtool.Set(device, feature, false); err != nil {
							t.Fatal(err)
						}
					})
				}
			}
			eachFamily(t, func(t *testing.T, f family) {
				c := listenIn(t, l.near, f.network, ":0")
				to := listenIn(t, l.far, f.network, ":0")
				through := flow{from: c, to: to, addr: at(f.far, to), size: 1000}
				through.queue(t)
				through.batch(t)
				expectPackets(t, l.near, l.nearEnd.Name, stretch, func() { through.batch(t) })
				if gso := c.Capabilities().GSO; !gso.Active || gso.Reason != "" {
					t.Errorf("GSO %v, want on", gso)
				}
				if s := c.Stats(); s.Sent != uint64(through.next) || s.SendErrors != 0 || s.Retries != 0 {
					t.Errorf("%+v, want %d sent, no errors or retries", s, through.next)
				}
			})
		})
	}
}

// The environment turns off what it names, for all handles.
func TestOffloadVariable(t *testing.T) {
	for _, test := range []struct {
		value           string
		batch, gso, gro bool
	}{
		{"", true, true, true},
		{"none", false, false, false},
		{"batch", true, false, false},
		{"nogso", true, false, true},
		{"nogro", true, true, false},
	} {
		t.Run("value "+test.value, func(t *testing.T) {
			t.Setenv("DATAGRAM_OFFLOAD", test.value)
			host := netns.New(t)
			c, to := listenIn(t, host, "udp4", "127.0.0.1:0"), listenIn(t, host, "udp4", "127.0.0.1:0")
			caps := c.Capabilities()
			for _, feature := range []struct {
				name string
				got  datagram.Feature
				want bool
			}{{"batch", caps.Batch, test.batch}, {"GSO", caps.GSO, test.gso}, {"GRO", caps.GRO, test.gro}} {
				want := datagram.Feature{Active: feature.want}
				if !feature.want {
					want.Reason = "DATAGRAM_OFFLOAD=" + test.value
				}
				if feature.got != want {
					t.Errorf("%s is %v, want %v", feature.name, feature.got, want)
				}
			}
			left := stretch
			if test.gso {
				left = 1
			}
			through := flow{from: c, to: to, addr: to.LocalAddr(), size: 1000}
			expectPackets(t, host, "lo", left, func() { through.batch(t) })
			sent, received := c.Stats().SendCalls, to.Stats().ReceiveCalls
			if test.batch != (sent <= stretch/10) || !test.batch && sent != stretch {
				t.Errorf("%d datagrams were sent in %d calls", stretch, sent)
			}
			switch {
			case !test.batch && received == stretch:
			case test.gso && test.gro && received == 1:
			case test.batch && received < stretch/2 && !(test.gso && test.gro):
			default:
				t.Errorf("%d datagrams were received in %d calls", stretch, received)
			}
			through.queue(t)
		})
	}
}

// What limits a handle is named, and both if both may.
func TestOffloadReason(t *testing.T) {
	testenv.AllOffloads(t)
	limited := func(o datagram.Offload) string {
		return conntest.Loopback(t, datagram.WithOffload(o)).Capabilities().GRO.Reason
	}
	if reason := limited(datagram.OffloadBatch); reason != "WithOffload" {
		t.Errorf("reason %q", reason)
	}
	t.Setenv("DATAGRAM_OFFLOAD", "nogro")
	if reason := limited(datagram.OffloadAll); reason != "DATAGRAM_OFFLOAD=nogro" {
		t.Errorf("reason %q", reason)
	}
	if reason := limited(datagram.OffloadBatch); reason != "WithOffload and DATAGRAM_OFFLOAD=nogro" {
		t.Errorf("reason %q", reason)
	}
}

// A packet filter that judges by the length sees that of a whole batch: datagrams that it lets pass alone are sent.
func TestFilterOfLongPackets(t *testing.T) {
	l := newLAN(t)
	l.near.Run("nft", "table ip f { chain o { type filter hook output priority 0; udp length > 1000 drop; }; }")
	sender, receiver := listenIn(t, l.near, "udp4", ":0"), listenIn(t, l.far, "udp4", ":0")
	to := at(families[0].far, receiver)
	f := flow{from: sender, to: receiver, addr: to, size: 100}
	f.batch(t)
	f.queue(t)
	if err := conntest.Outcome(t, sender, datagram.To(to, make([]byte, 1000))); !errors.Is(err, syscall.EPERM) {
		t.Errorf("a long one: %v, want EPERM", err)
	}
}
