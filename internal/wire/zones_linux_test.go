package wire

import (
	"strconv"
	"syscall"
)

// testZones has one interface, lo, with the index 1, as a new network namespace
// of Linux has.
type testZones struct{}

func (testZones) Name(index uint32) string {
	if index == 1 {
		return "lo"
	}
	return strconv.FormatUint(uint64(index), 10)
}

func (testZones) Index(zone string) (uint32, error) {
	if zone == "lo" {
		return 1, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil && n > 0 {
		return uint32(n), nil
	}
	return 0, syscall.ENODEV
}
