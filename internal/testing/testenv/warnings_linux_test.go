package testenv_test

import (
	"strings"
	"testing"

	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/testenv"
)

func TestWarnings(t *testing.T) {
	n := netns.New(t)
	warnings := func() (all string) {
		n.Do(func() { all = strings.Join(testenv.Warnings(), "\n") })
		return all
	}
	if got := warnings(); got != "" {
		t.Errorf("a new namespace: %s", got)
	}
	n.IP("route replace local 127.0.0.1 dev lo table local mtu lock 552")
	if got := warnings(); !strings.Contains(got, "127.0.0.1 is 552") {
		t.Errorf("with a path MTU of 552: %q", got)
	}
}
