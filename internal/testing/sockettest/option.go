package sockettest

import (
	"errors"
	"syscall"

	"example.com/datagram/internal/socket"
)

func testOptions(s *suite) {
	for _, l := range []struct{ network, address string }{{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", ":0"}} {
		e := s.listen(l.network, l.address)
		for _, test := range []struct {
			option socket.Option
			values []int
		}{
			{socket.TTL, []int{1, 64, 255}},
			{socket.TrafficClass, []int{0x28, 0}},
			{socket.MulticastLoopback, []int{0, 1}},
			{socket.MulticastTTL, []int{1, 255}},
			{socket.Broadcast, []int{0, 1}},
		} {
			for _, value := range test.values {
				if err := e.SetOption(test.option, value); err != nil {
					s.Errorf("%s: set %v to %d: %v", l.network, test.option, value, err)
					continue
				}
				if got, err := e.Option(test.option); err != nil || got != value {
					s.Errorf("%s: %v is %d (%v), want %d", l.network, test.option, got, err, value)
				}
			}
		}
		for _, option := range []socket.Option{socket.ReadBuffer, socket.WriteBuffer} {
			if err := e.SetOption(option, 32<<10); err != nil {
				s.Errorf("%s: set %v: %v", l.network, option, err)
			}
			// The system may grant another size: Linux doubles it.
			if got, err := e.Option(option); err != nil || got < 32<<10 || got > 128<<10 {
				s.Errorf("%s: %v is %d (%v)", l.network, option, got, err)
			}
		}
	}
}

// A setting that the system refuses fails the call, with an error that names it.
func testRefusedOption(s *suite) {
	config := s.Config
	config.Settings = []socket.Setting{{Option: socket.TTL, Value: 1000}}
	var setting *socket.SettingError
	if _, err := s.Listen(s.T, "udp4", "127.0.0.1:0", config); !errors.As(err, &setting) || setting.Option != socket.TTL {
		s.Errorf("a TTL of 1000: %v", err)
	}
	config.Settings = []socket.Setting{{Option: socket.IPv6Only, Value: 1}}
	if _, err := s.Listen(s.T, "udp4", "127.0.0.1:0", config); !errors.Is(err, syscall.EINVAL) {
		s.Errorf("IPv6 only for IPv4: %v", err)
	}
}
