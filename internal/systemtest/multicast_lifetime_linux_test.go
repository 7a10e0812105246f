package systemtest_test

import (
	"errors"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// An interface that is only down for a while keeps its memberships.
func TestMulticastSurvivesInterfaceDown(t *testing.T) {
	l := newLAN(t)
	l.near.Sysctl("net/ipv6/conf/"+l.nearEnd.Name+"/keep_addr_on_down", "1")
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.near, f.network, ":0")
		membership(t, receiver.JoinGroup(f.group, l.nearEnd))
		l.near.IP("link set %s down", l.nearEnd.Name)
		l.near.IP("link set %s up", l.nearEnd.Name)
		l.near.AwaitUp(l.nearEnd.Name)
		l.far.AwaitUp(l.farEnd.Name)
		conntest.Send(t, groupSender(t, l.far, f, l.farEnd), datagram.To(at(f.group, receiver), []byte("x")))
		conntest.Expect(t, receiver, "x")
		if err := receiver.JoinGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("join again: %v, want EADDRINUSE", err)
		}
	})
}

// An interface that was removed takes its memberships away. One that comes in
// its place is another interface, with or without the index of the former:
// leaving at the old one and joining at the new one serves both cases.
func TestMulticastEndsWithInterface(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		name := map[bool]string{false: "new index", true: "same index"}[reuse]
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			for _, f := range families {
				receiver := listenIn(t, l.near, f.network, ":0")
				membership(t, receiver.JoinGroup(f.group, l.nearEnd))
				gone := l.nearEnd
				l.near.IP("link delete %s", gone.Name)
				if reuse {
					l.nearEnd, l.farEnd = netns.LinkAs(l.near, l.far, gone.Index, l.farEnd.Index)
				} else {
					l.nearEnd, l.farEnd = netns.Link(l.near, l.far)
				}
				l.near.Addresses(l.nearEnd, "192.0.2.1/24", "2001:db8::1/64")
				l.far.Addresses(l.farEnd, "192.0.2.2/24", "2001:db8::2/64")

				sender := groupSender(t, l.far, f, l.farEnd)
				conntest.Send(t, sender, datagram.To(at(f.group, receiver), []byte("to the group")))
				conntest.Send(t, sender, datagram.To(at(f.near, receiver), []byte("to the host")))
				conntest.Expect(t, receiver, "to the host")

				// The socket still has the old membership in its list. It counts towards the socket's
				// limit, and stands for the new interface if that has the index of the old.
				if reuse {
					if err := receiver.JoinGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRINUSE) {
						t.Errorf("%s: join without leaving: %v, want EADDRINUSE", f.network, err)
					}
				}
				membership(t, receiver.LeaveGroup(f.group, gone))
				membership(t, receiver.JoinGroup(f.group, l.nearEnd))
				conntest.Send(t, sender, datagram.To(at(f.group, receiver), []byte("to the group again")))
				conntest.Expect(t, receiver, "to the group again")
			}
		})
	}
}
