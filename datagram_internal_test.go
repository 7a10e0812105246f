package datagram

import (
	"net/netip"
	"testing"
	"time"
)

// When a datagram was received is nothing to ask for when it is sent on, and no reason to send it alone.
func TestReceiveTimeIsNotSent(t *testing.T) {
	d := Datagram{Meta: Metadata{Time: time.Unix(1, 0)}}
	if c := d.control(); c != nil {
		t.Errorf("asks for %+v", c)
	}
	local := netip.MustParseAddr("192.0.2.1")
	a := Datagram{Meta: Metadata{Local: local, Time: time.Unix(1, 0)}}
	b := Datagram{Meta: Metadata{Local: local, Time: time.Unix(2, 0)}}
	if x, y := a.control(), b.control(); x == nil || y == nil || *x != *y || x.Local != local {
		t.Errorf("ask for %+v and %+v", x, y)
	}
}
