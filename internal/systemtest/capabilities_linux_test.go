package systemtest_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// What is asked for is on, and what is not says so.
func TestCapabilitiesAskedFor(t *testing.T) {
	features := func(c datagram.Capabilities) map[string]datagram.Feature {
		return map[string]datagram.Feature{
			"local": c.Local, "hop limit": c.HopLimit, "traffic class": c.TrafficClass, "time": c.Time,
			"network errors": c.NetworkErrors, "don't fragment": c.DontFragment,
		}
	}
	for _, network := range []string{"udp4", "udp6", "udp"} {
		for name, opt := range map[string]datagram.Option{
			"nothing":        datagram.WithTTL(9),
			"local":          datagram.WithMetadata(datagram.MetaLocal),
			"hop limit":      datagram.WithMetadata(datagram.MetaHopLimit),
			"traffic class":  datagram.WithMetadata(datagram.MetaTrafficClass),
			"time":           datagram.WithMetadata(datagram.MetaTime),
			"network errors": datagram.WithNetworkErrors(),
			"don't fragment": datagram.WithDontFragment(),
		} {
			address := "[::1]:0"
			if network == "udp4" {
				address = "127.0.0.1:0"
			}
			for feature, got := range features(conntest.Listen(t, network, address, opt).Capabilities()) {
				want := datagram.Feature{Active: feature == name}
				if !want.Active {
					want.Reason = "not asked for"
				}
				if got != want {
					t.Errorf("%s with %s: %s is %v, want %v", network, name, feature, got, want)
				}
			}
		}
		if local := conntest.Listen(t, network, ":0").Capabilities().Local; local != (datagram.Feature{Active: true}) {
			t.Errorf("%s, wildcard: local is %v", network, local)
		}
	}
	none := conntest.New(t, datagram.WithMetadata(datagram.MetaTime)).Capabilities()
	for feature, got := range features(none) {
		if got.Active || got.Reason == "" {
			t.Errorf("without a socket: %s is %v", feature, got)
		}
	}
}

// As many messages go in one call as the handle says.
func TestCapabilitiesAtATime(t *testing.T) {
	testenv.AllOffloads(t)
	for offload, many := range map[datagram.Offload][2]bool{
		datagram.OffloadNone: {false, false}, datagram.OffloadBatch: {true, false}, datagram.OffloadAll: {true, true},
	} {
		c := conntest.Loopback(t, datagram.WithOffload(offload)).Capabilities()
		if (c.ReceiveMessages > 1) != many[0] || (c.SendMessages > 1) != many[0] || (c.Segments > 1) != many[1] {
			t.Errorf("offload %d: %d received, %d sent, %d segments", offload, c.ReceiveMessages, c.SendMessages, c.Segments)
		}
	}
}

// A buffer beyond the system's limit is granted to those who may have it, and others are told why not.
func TestBufferBeyondLimit(t *testing.T) {
	for _, test := range []struct {
		limit  string
		with   func(int) datagram.Option
		set    func(*datagram.Conn, int) error
		get    func(*datagram.Conn) (int, error)
		buffer func(datagram.Capabilities) datagram.Buffer
	}{
		{
			"rmem_max", datagram.WithReadBuffer, (*datagram.Conn).SetReadBuffer, (*datagram.Conn).ReadBuffer,
			func(c datagram.Capabilities) datagram.Buffer { return c.ReadBuffer },
		},
		{
			"wmem_max", datagram.WithWriteBuffer, (*datagram.Conn).SetWriteBuffer, (*datagram.Conn).WriteBuffer,
			func(c datagram.Capabilities) datagram.Buffer { return c.WriteBuffer },
		},
	} {
		limit := sysctl(t, "net/core/"+test.limit)
		check := func(c *datagram.Conn, asked, granted int) {
			t.Helper()
			reported, err := test.get(c)
			got := test.buffer(c.Capabilities())
			if err != nil || reported != 2*granted || got.Asked != asked || got.Granted != reported {
				t.Errorf("%d asked for: %d, %v; %v, want %d", asked, reported, err, got, 2*granted)
			}
			if strings.Contains(got.Reason, test.limit) != (granted < asked) {
				t.Errorf("%d asked for, %d granted: the reason is %q", asked, granted, got.Reason)
			}
		}
		for _, privileged := range []bool{false, true} {
			withNetAdmin(t, privileged, func() {
				granted := limit
				if privileged {
					granted = 2 * limit
				}
				c := conntest.Loopback(t, test.with(2*limit))
				check(c, 2*limit, granted)
				if err := test.set(c, limit/2); err != nil {
					t.Fatal(err)
				}
				check(c, limit/2, limit/2)
			})
		}
	}
}

// sysctl reads a number below /proc/sys.
func sysctl(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// withNetAdmin calls f on a thread that has the capability of network administrators, or has it not.
func withNetAdmin(t *testing.T, have bool, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	if err := unix.Capget(&header, &before[0]); err != nil {
		t.Fatal(err)
	}
	const netAdmin = 1 << unix.CAP_NET_ADMIN
	if have {
		if before[0].Effective&netAdmin == 0 {
			testenv.Skip(t, "no CAP_NET_ADMIN")
		}
		f()
		return
	}
	without := before
	without[0].Effective &^= netAdmin
	if err := unix.Capset(&header, &without[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&header, &before[0]); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}
