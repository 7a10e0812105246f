package child

import (
	"net/netip"
	"testing"
)

func TestArgsSurviveTheCommandLine(t *testing.T) {
	want := Args{
		Peer: "x/net", Role: "flow", Dest: "127.0.0.1:9", Bind: "198.18.0.2", SendNS: "/a", RecvNS: "/b",
		Size: 64, Window: 7, Dests: 256, Receivers: 3, Handles: 8, Clients: 2, Flight: 4, Pace: 6, Count: 5, Collect: 1,
	}
	got, err := Parse(want.Strings())
	if err != nil || got != want {
		t.Errorf("Parse gave %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"size=x", "colour=red", "size"} {
		if _, err := Parse([]string{bad}); err == nil {
			t.Errorf("Parse took %q", bad)
		}
	}
}

func TestDestinations(t *testing.T) {
	at := []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:53")}
	a := Args{Dests: 300, Bind: "127.0.0.1"}
	seen := make(map[netip.AddrPort]bool)
	for _, d := range a.Destinations(at) {
		if !d.Addr().IsLoopback() || d.Port() != 53 {
			t.Errorf("%v is no address of the receiver", d)
		}
		seen[d] = true
	}
	if len(seen) != 300 {
		t.Errorf("%d different destinations, want 300", len(seen))
	}
	if !a.BindAddr().Addr().IsUnspecified() {
		t.Errorf("a receiver of many addresses binds %v", a.BindAddr())
	}
}

func TestHeldLeavesRoomInTheWindow(t *testing.T) {
	for window, want := range map[int]int{0: 512, 256: 128, 5000: 512} {
		if got := (&Args{Window: window}).Held(); got != want {
			t.Errorf("window %d: %d held, want %d", window, got, want)
		}
	}
}
