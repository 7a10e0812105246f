package datagramtest_test

import (
	"testing"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// Capabilities of simulated handles are correct.
func TestCapabilities(t *testing.T) {
	t.Setenv("DATAGRAM_OFFLOAD", "")
	on, unasked := datagram.Feature{Active: true}, datagram.Feature{Reason: "not asked for"}
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		for name, test := range map[string]struct {
			address  string
			options  []datagram.Option
			batch    datagram.Feature
			messages int
			local    datagram.Feature
			others   datagram.Feature
		}{
			"default":  {"10.0.0.1:0", nil, on, 64, unasked, unasked},
			"wildcard": {":0", nil, on, 64, on, unasked},
			"single": {
				"10.0.0.1:0",
				[]datagram.Option{datagram.WithOffload(datagram.OffloadNone)},
				datagram.Feature{Reason: "WithOffload"},
				1, unasked, unasked,
			},
			"asked": {"10.0.0.1:0", []datagram.Option{
				datagram.WithMetadata(datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime),
				datagram.WithNetworkErrors(), datagram.WithDontFragment(),
			}, on, 64, on, on},
		} {
			c := w.conn(w.Listen(w.Context(), "udp", test.address, test.options...)).Capabilities()
			if c.Batch != test.batch || c.ReceiveMessages != test.messages || c.SendMessages != test.messages || c.Segments != 1 {
				t.Errorf("%s: batch %v, %d, %d and %d at a time", name, c.Batch, c.ReceiveMessages, c.SendMessages, c.Segments)
			}
			if c.GSO.Active || c.GSO.Reason == "" || c.GRO != c.GSO || c.KernelDrops != on {
				t.Errorf("%s: GSO %v, GRO %v, kernel drops %v", name, c.GSO, c.GRO, c.KernelDrops)
			}
			if c.Local != test.local {
				t.Errorf("%s: local %v", name, c.Local)
			}
			for _, other := range []datagram.Feature{c.HopLimit, c.TrafficClass, c.Time, c.NetworkErrors, c.DontFragment} {
				if other != test.others {
					t.Errorf("%s: %v", name, c)
					break
				}
			}
		}
	})
}
