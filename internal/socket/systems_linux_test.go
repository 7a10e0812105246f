package socket_test

import (
	"errors"
	"net/netip"
	"testing"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/systems"
)

var (
	setOptions = map[socket.Option]systems.Support{
		socket.ReusePort:           systems.ReusePort,
		socket.Steering:            systems.Steering,
		socket.DontFragment:        systems.DontFragment,
		socket.ReceiveLocal:        systems.ReceiveLocal,
		socket.ReceiveHopLimit:     systems.ReceiveHopLimit,
		socket.ReceiveTrafficClass: systems.ReceiveTrafficClass,
		socket.ReceiveTime:         systems.ReceiveTime,
	}
	sentFields = map[*socket.Control]systems.Support{
		{Local: netip.IPv6Loopback()}: systems.SendLocal,
		{IfIndex: 1}:                  systems.SendInterface,
		{HopLimit: 7}:                 systems.SendHopLimit,
		{TrafficClass: 7}:             systems.SendTrafficClass,
	}
)

// With the lists of another system in force, the code refuses what that system lacks, and nothing else. Linux, which
// has everything, serves for all.
func TestSystems(t *testing.T) {
	actual := systems.Current
	t.Cleanup(func() { systems.Current = actual })
	forEach(t, func(t *testing.T, config socket.Config) {
		for system := systems.Linux; system != 0 && system <= systems.Windows; system <<= 1 {
			systems.Current = system
			for _, family := range []struct {
				network, address, loopback string
				of                         func(systems.Support) systems.Set
			}{
				{"udp4", "127.0.0.1:0", "127.0.0.1", func(s systems.Support) systems.Set { return s.IPv4 }},
				{"udp6", "[::1]:0", "::1", func(s systems.Support) systems.Set { return s.IPv6 }},
			} {
				open := func(config socket.Config) (socket.Socket, error) {
					s, err := listen(t, family.network, family.address, config)
					if err == nil {
						t.Cleanup(func() { s.Close() })
					}
					return s, err
				}
				check := func(name any, support systems.Support, err error) {
					t.Helper()
					if here := family.of(support)&system != 0; errors.Is(err, errors.ErrUnsupported) == here || err != nil && here {
						t.Errorf("%v, %s, %v: %v, want support %v", system, family.network, name, err, here)
					}
				}
				s, err := open(config)
				if err != nil {
					t.Fatal(err)
				}
				for option, support := range setOptions {
					check(option, support, s.SetOption(option, 1))
				}
				loopback := netip.MustParseAddr(family.loopback)
				to := netip.AddrPortFrom(loopback, s.Info().Local.Port())
				for control, support := range sentFields {
					c := *control
					if c.Local.IsValid() {
						c.Local = loopback
					}
					_, err := s.Send([]socket.Outgoing{{Addr: to, Payload: []byte("x"), Control: &c}}, true)
					check(c, support, err)
				}
				if err := s.Connect(to); err != nil {
					t.Fatal(err)
				}
				_, err = s.Option(socket.PathMTU)
				check(socket.PathMTU, systems.PathMTU, err)
				device := config
				device.Interface = "lo"
				_, err = open(device)
				check("interface", systems.BindToDevice, err)
				if !config.Portable {
					reporting := config
					reporting.NetworkErrors = true
					_, err = open(reporting)
					check("network errors", systems.NetworkErrors, err)
				}
			}
		}
	})
}
