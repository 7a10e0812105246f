package consumers_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// TestDig asks a server on the wildcard address at two addresses of the host. dig accepts no answer from
// an address that it did not ask.
func TestDig(t *testing.T) {
	dig := testenv.Program(t, "dig")
	server := conntest.Listen(t, "udp", ":0")
	serveDNS(t, server)
	for _, addr := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.1"} {
		out, err := exec.CommandContext(t.Context(), dig, "@"+addr, "-p", fmt.Sprint(server.LocalAddr().Port()),
			"+short", "+tries=1", "example.org", "A").CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != "192.0.2.7" {
			t.Errorf("dig asked %s: %q, %v", addr, got, err)
		}
	}
}
