package datagram

import (
	"net/netip"
	"testing"
	"time"

	"example.com/datagram/internal/buffer"
)

// When a datagram was received is nothing to ask for when it is sent on, and no reason to send it alone.
func TestReceiveTimeIsNotSent(t *testing.T) {
	d := Datagram{Meta: Metadata{Time: time.Unix(1, 0)}}
	if c := d.Meta.control(); c != nil {
		t.Errorf("asks for %+v", c)
	}
	local := netip.MustParseAddr("192.0.2.1")
	a := Datagram{Meta: Metadata{Local: local, Time: time.Unix(1, 0)}}
	b := Datagram{Meta: Metadata{Local: local, Time: time.Unix(2, 0)}}
	if x, y := a.Meta.control(), b.Meta.control(); x == nil || y == nil || *x != *y || x.Local != local {
		t.Errorf("ask for %+v and %+v", x, y)
	}
}

// TestDetach checks that a detached datagram has its own memory.
func TestDetach(t *testing.T) {
	shared := buffer.Get(1000)
	n := copy(shared.Bytes, "payload, and its neighbours")
	shared.Lend(2)
	d := Datagram{Payload: shared.Bytes[:7:n], lease: shared.Lease(0)}
	d.detach()
	copy(shared.Bytes, "overwritten")
	if string(d.Payload) != "payload" || cap(d.Payload) != 7 {
		t.Errorf("%q with a capacity of %d", d.Payload, cap(d.Payload))
	}
	d.Release()
}
