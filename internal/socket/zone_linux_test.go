package socket

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A zone is the name of an interface or a number. Any other is refused: with the
// index 0 a datagram would leave by some interface.
func TestZones(t *testing.T) {
	z := &newSocket(t).zones
	for range 2 { // asked for, and remembered
		for zone, want := range map[string]uint32{"lo": 1, "1": 1, "77": 77, "4294967295": 1<<32 - 1} {
			if index, err := z.Index(zone); index != want || err != nil {
				t.Errorf("zone %q: %d, %v; want %d", zone, index, err, want)
			}
		}
		for _, zone := range []string{"", "0", "-1", "4294967296", "none", "a name that no interface can have"} {
			if index, err := z.Index(zone); index != 0 || !errors.Is(err, unix.ENODEV) {
				t.Errorf("zone %q: %d, %v; want ENODEV", zone, index, err)
			}
		}
		for index, want := range map[uint32]string{1: "lo", 1<<32 - 1: "4294967295"} {
			if name := z.Name(index); name != want {
				t.Errorf("index %d: %q, want %q", index, name, want)
			}
		}
	}
}
