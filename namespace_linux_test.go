package datagram_test

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace puts the rest of a test into a network namespace of its own,
// with the loopback interface up, and a pair of virtual Ethernet interfaces that
// can do multicast, of which veth0 has addresses. Sockets belong to it that are made on the goroutine of the test.
func inNamespace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		skip(t, "no ip command: "+err.Error())
	}
	// Not unlocked: the thread ends with the test's goroutine, and with it the
	// namespace.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		skip(t, "no network namespace: "+err.Error())
	}
	for _, command := range []string{
		"link set lo up",
		"link add veth0 type veth peer name veth1",
		"link set veth1 up",
		"link set veth0 up",
		"address add 192.0.2.1/24 dev veth0",
		"address add fd00:db8::1/64 dev veth0 nodad",
		"address add fe80::db8:1/64 dev veth0 nodad",
		"route add 224.0.0.0/4 dev veth0",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", command, err, out)
		}
	}
}
