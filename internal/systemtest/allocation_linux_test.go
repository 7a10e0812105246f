package systemtest_test

import (
	"net/netip"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// All that travels beside the payload, in both directions.
func TestMetadataAllocatesNothing(t *testing.T) {
	const together = 30 // datagrams a measured round: an average below this share of an allocation is none
	l := newLAN(t)
	all := datagram.WithMetadata(datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime)
	for _, test := range []struct {
		network   string
		near, far netip.Addr
	}{
		{"udp4", families[0].near, families[0].far},
		{"udp6", families[1].near, families[1].far},
		{"udp", families[0].near, families[0].far},
		{"udp", families[1].near, families[1].far},
		{"udp", nearLinkLocal.WithZone(l.farEnd.Name), farLinkLocal.WithZone(l.farEnd.Name)},
	} {
		server := listenIn(t, l.near, test.network, ":0", all)
		client := listenIn(t, l.far, test.network, ":0", all)
		result := conntest.Serve(background, server, func(d datagram.Datagram) {
			reply := d.Reply(d.Payload)
			reply.Meta.HopLimit, reply.Meta.TrafficClass = d.Meta.HopLimit, d.Meta.TrafficClass
			if err := server.Send(background, reply); err != nil {
				t.Error(err)
			}
			d.Release()
		})
		ch := client.Recv()
		question := datagram.To(at(test.near, server), make([]byte, 100))
		question.Meta = datagram.Metadata{Local: test.far, HopLimit: 9, TrafficClass: uint8(datagram.ECT0)}
		n := testenv.Allocations(t, func() {
			for range together {
				if err := client.Send(background, question); err != nil {
					t.Fatal(err)
				}
			}
			for range together {
				d := <-ch
				if d.Meta.Local != test.far || d.Meta.HopLimit != 9 || d.Meta.ECN() != datagram.ECT0 || d.Meta.Time.IsZero() {
					t.Fatalf("%+v", d.Meta)
				}
				d.Release()
			}
		}) / together
		if n > 0.2 {
			t.Errorf("%s, %v: %.2f allocations a round trip", test.network, test.near, n)
		}
		server.Close()
		await.Signal(t, "Serve", result)
	}
}
