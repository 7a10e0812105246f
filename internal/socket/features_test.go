package socket_test

import (
	"errors"
	"testing"

	"example.com/datagram/internal/socket"
)

// A feature that was asked for is in use, or the socket is not opened. Any other has a reason: it was not asked for, or
// the system does not have it.
func TestFeatures(t *testing.T) {
	rows := map[socket.Option]func(socket.Features) socket.Feature{
		socket.ReceiveLocal:        func(f socket.Features) socket.Feature { return f.Local },
		socket.ReceiveHopLimit:     func(f socket.Features) socket.Feature { return f.HopLimit },
		socket.ReceiveTrafficClass: func(f socket.Features) socket.Feature { return f.TrafficClass },
		socket.ReceiveTime:         func(f socket.Features) socket.Feature { return f.Time },
		socket.DontFragment:        func(f socket.Features) socket.Feature { return f.DontFragment },
	}
	for _, test := range implementations {
		for _, network := range []struct{ name, address string }{{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}} {
			s, err := listen(t, network.name, network.address, test.config)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			plain := s.Features()
			batch, segment := plain.Batch.Active, plain.Segment.Active
			if (plain.ReceiveMessages > 1) != batch || (plain.SendMessages > 1) != batch || (plain.Segments > 1) != segment {
				t.Errorf("%s: %+v", test.name, plain)
			}
			for option, row := range rows {
				if f := row(plain); f.Active || f.Reason == "" {
					t.Errorf("%s, %s: %v without being asked for is %+v", test.name, network.name, option, f)
				}
				config := test.config
				config.Settings = []socket.Setting{{Option: option, Value: 1}}
				s, err := listen(t, network.name, network.address, config)
				supported := row(plain).Reason != errors.ErrUnsupported.Error()
				switch {
				case errors.Is(err, errors.ErrUnsupported) && !supported:
				case err != nil || !supported:
					t.Errorf("%s, %s: %v: %v, %v", test.name, network.name, option, err, row(plain))
				case row(s.Features()) != socket.Feature{Active: true}:
					t.Errorf("%s, %s: %v asked for is %+v", test.name, network.name, option, row(s.Features()))
				}
				if err == nil {
					s.Close()
				}
			}
		}
	}
}
