package testenv

import (
	"net"
	"os/exec"
	"runtime/debug"
	"testing"
)

// NeedIPv6 skips the test if the loopback interface has no IPv6.
func NeedIPv6(tb testing.TB) {
	tb.Helper()
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		Skip(tb, "no IPv6: "+err.Error())
	}
	probe.Close()
}

// Program returns the path of a system program, and skips the test if it is not installed.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(tb, name+" is not installed")
	}
	return path
}

// RaceEnabled reports whether the race detector, which allocates, is enabled.
var RaceEnabled = func() bool {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "-race" {
			return setting.Value == "true"
		}
	}
	return false
}()

// AllOffloads makes a test of offloads independent of the environment variable with which all other tests can
// be run without them.
func AllOffloads(t *testing.T) {
	t.Helper()
	t.Setenv("DATAGRAM_OFFLOAD", "")
}

// Allocations returns the average number of allocations of a call of f.
func Allocations(tb testing.TB, f func()) float64 {
	tb.Helper()
	if RaceEnabled {
		tb.Skip("the race detector allocates")
	}
	f() // excludes what is allocated once and kept
	return testing.AllocsPerRun(200, f)
}
