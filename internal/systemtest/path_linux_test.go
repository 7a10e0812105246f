package systemtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// A path is two hosts with a router between them, behind which packets may not be as large as
// before it. Nobody limits how many ICMP errors it sends.
type path struct{ near, router, far *netns.Namespace }

// narrow is the MTU behind the router.
const narrow = 1300

// A pathFamily is the addresses of a path in one family. Nobody has the address missing, which is on
// the network of far.
type pathFamily struct {
	network              string
	router, far, missing netip.Addr
}

var pathFamilies = []pathFamily{
	{
		"udp4", netip.MustParseAddr("192.0.2.254"),
		netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("198.51.100.99"),
	},
	{
		"udp6", netip.MustParseAddr("2001:db8::254"),
		netip.MustParseAddr("2001:db8:1::2"), netip.MustParseAddr("2001:db8:1::99"),
	},
}

func newPath(t *testing.T) *path {
	t.Helper()
	p := &path{near: netns.New(t), router: netns.New(t), far: netns.New(t)}
	nearEnd, before := netns.Link(p.near, p.router)
	behind, farEnd := netns.Link(p.router, p.far)
	p.near.Addresses(nearEnd, "192.0.2.1/24", "2001:db8::1/64")
	p.router.Addresses(before, "192.0.2.254/24", "2001:db8::254/64")
	// A router solicits neighbours from its link-local address.
	p.router.Addresses(behind, "198.51.100.254/24", "2001:db8:1::254/64", "fe80::254/64")
	p.far.Addresses(farEnd, "198.51.100.2/24", "2001:db8:1::2/64")
	p.near.IP("route add default via 192.0.2.254")
	p.near.IP("-6 route add default via 2001:db8::254")
	p.far.IP("route add default via 198.51.100.254")
	p.far.IP("-6 route add default via 2001:db8:1::254")
	p.router.IP("link set %s mtu %d", behind.Name, narrow)
	p.router.Sysctl("net/ipv4/ip_forward", "1")
	p.router.Sysctl("net/ipv6/conf/all/forwarding", "1")
	unlimitICMP(p.router)
	unlimitICMP(p.far)
	// The router soon gives up looking for a host that is missing.
	for _, family := range []string{"ipv4", "ipv6"} {
		p.router.Sysctl(fmt.Sprintf("net/%s/neigh/%s/retrans_time_ms", family, behind.Name), "10")
		p.router.Sysctl(fmt.Sprintf("net/%s/neigh/%s/mcast_solicit", family, behind.Name), "1")
	}
	return p
}

// unlimitICMP makes a host report every error that there is.
func unlimitICMP(n *netns.Namespace) {
	n.Sysctl("net/ipv4/icmp_ratemask", "0")
	n.Sysctl("net/ipv6/icmp/ratelimit", "0")
	n.Sysctl("net/ipv6/icmp/ratemask", "129") // echo replies, the only ones limited
}

// What routers and hosts on the way report is told, with its circumstances, and costs neither those who
// are reached nor those who answer anything.
func TestNetworkErrorsOfAPath(t *testing.T) {
	p := newPath(t)
	for _, f := range pathFamilies {
		for _, network := range []string{f.network, "udp"} {
			t.Run(f.network+" on "+network, func(t *testing.T) {
				reports := make(chan error, 10_000)
				c := listenIn(t, p.near, network, ":0", datagram.WithNetworkErrors(), datagram.WithDontFragment(),
					datagram.WithErrorHandler(func(err error) { reports <- err }))
				healthy := listenIn(t, p.far, f.network, ":0")
				servers["Recv and Send"](t, healthy)
				// A router that gets a batch that is not segmented yet loses all of it, so what is too big has a
				// destination of its own.
				wide, closed := listenIn(t, p.far, f.network, ":0"), listenIn(t, p.far, f.network, ":0")
				unreachable, missing, big := at(f.far, closed), netip.AddrPortFrom(f.missing, 7777), at(f.far, wide)
				closed.Close()
				waiting := map[datagram.NetworkError]bool{
					{Dst: unreachable, Offender: f.far, Err: syscall.ECONNREFUSED}:     true,
					{Dst: missing, Offender: f.router, Err: syscall.EHOSTUNREACH}:      true,
					{Dst: big, Offender: f.router, MTU: narrow, Err: syscall.EMSGSIZE}: true,
				}
				allowed := maps.Clone(waiting)
				c.Recv()

				rounds := 0
				for deadline := await.Context(t); rounds < 50 || len(waiting) > 0; rounds++ {
					var answers []<-chan error
					for _, d := range []datagram.Datagram{
						datagram.To(unreachable, []byte("to nobody")), datagram.To(missing, []byte("to no host")),
						datagram.To(big, make([]byte, narrow)), datagram.To(at(f.far, healthy), strconv.AppendInt(nil, int64(rounds), 10)),
					} {
						answer := make(chan error, 1)
						answers = append(answers, answer)
						if err := c.SendFunc(deadline, d, func(err error) { answer <- err }); err != nil {
							t.Fatal(err)
						}
					}
					for i, answer := range answers {
						if err := await.Value(t, "an answer", answer); err != nil {
							t.Errorf("round %d, datagram %d: %v", rounds, i, err)
						}
					}
					conntest.Expect(t, c, strconv.Itoa(rounds))
					for more := true; more; {
						select {
						case err := <-reports:
							var e *datagram.NetworkError
							if !errors.As(err, &e) || !allowed[*e] {
								t.Fatalf("told of %#v, want one of %+v", err, allowed)
							}
							delete(waiting, *e)
						default:
							more = false
						}
					}
					if deadline.Err() != nil {
						t.Fatalf("not told of %+v", waiting)
					}
				}
				s := c.Stats()
				if s.SendErrors != 0 || s.Received != uint64(rounds) {
					t.Errorf("%d rounds: %+v", rounds, s)
				}
			})
		}
	}
}

// What is too long for the interface itself is answered, and no network error.
func TestOwnErrorIsNoNetworkError(t *testing.T) {
	p := newPath(t)
	for _, f := range pathFamilies {
		reports := make(chan error, 1000)
		c := listenIn(t, p.near, f.network, ":0", datagram.WithNetworkErrors(), datagram.WithDontFragment(),
			datagram.WithErrorHandler(func(err error) { reports <- err }))
		c.Recv()
		if err := conntest.Outcome(t, c, datagram.To(netip.AddrPortFrom(f.far, 7777), make([]byte, 2000))); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%v, want EMSGSIZE", err)
		}
		// A report that comes later is the first.
		conntest.Send(t, c, datagram.To(netip.AddrPortFrom(f.far, 7777), []byte("to nobody")))
		if err := await.Value(t, "a report", reports); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("told of %v, want ECONNREFUSED alone", err)
		}
	}
}

// The path MTU of a connected handle falls when a router says so, and then all that it sends fits.
func TestPathMTUFalls(t *testing.T) {
	p := newPath(t)
	for _, f := range pathFamilies {
		receiver := listenIn(t, p.far, f.network, ":0")
		c := dialIn(t, p.near, f.network, at(f.far, receiver), datagram.WithNetworkErrors())
		if mtu, err := c.PathMTU(); mtu != 1500 || err != nil {
			t.Errorf("%s before: %d, %v; want 1500", f.network, mtu, err)
		}
		big := bytes.Repeat([]byte("b"), narrow)
		conntest.Send(t, c, datagram.To(netip.AddrPort{}, big)) // lost
		await.Until(t, "path MTU", func() bool {
			mtu, err := c.PathMTU()
			return mtu == narrow && err == nil
		})
		conntest.Send(t, c, datagram.To(netip.AddrPort{}, big)) // in fragments
		conntest.Expect(t, receiver, string(big))
	}
}
