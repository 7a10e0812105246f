package servers_test

import (
	"testing"

	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// Without the right to use a port below 1024, a program says so. In a new namespace the limit is the default.
func TestPrivilegedPort(t *testing.T) {
	n := netns.New(t)
	setpriv := testenv.Program(t, "setpriv")
	for dir, args := range map[string][]string{"sntp": nil, "../echo": {":7"}, "../upgrade": {"-listen", ":7"}} { // sntp has such a port by default
		args = append([]string{"--bounding-set", "-net_bind_service", program.BuildIn(t, dir)}, args...)
		n.Do(func() { program.Fails(t, 1, "permission denied", setpriv, args...) })
	}
}
