package netns

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/testenv"
)

// A Namespace is a network namespace. It exists until the test ends and its last socket is closed.
type Namespace struct {
	tb   testing.TB
	file *os.File
}

// New returns a new namespace whose loopback interface is up. Its IPv6 addresses are usable at once, since it
// does not detect duplicates. New skips the test if it may not create namespaces.
func New(tb testing.TB) *Namespace {
	tb.Helper()
	n := &Namespace{tb: tb}
	if err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		n.file, err = os.Open(current)
		return err
	}); err != nil {
		testenv.Skip(tb, "no network namespaces: "+err.Error())
	}
	tb.Cleanup(func() { n.file.Close() })
	n.Sysctl("net/ipv6/conf/all/accept_dad", "0")
	n.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	// Addresses that the test did not ask for would be used as sources.
	n.Sysctl("net/ipv6/conf/default/addr_gen_mode", "1")
	n.IP("link set lo up")
	return n
}

// Own gives the test binary a network of its own, in which tests of other packages, which run at the same time,
// neither take ports nor send anything. To be called first in TestMain, since it runs the binary anew. If it may
// not create namespaces, it does nothing.
func Own() {
	const owned = "DATAGRAM_OWN_NETWORK"
	if os.Getenv(owned) != "" {
		return
	}
	_ = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			return err
		}
		return unix.Exec(os.Args[0], os.Args, append(os.Environ(), owned+"=1")) // fails under an emulator
	})
}

// current is the path of the namespace of the thread that opens it.
const current = "/proc/thread-self/ns/net"

// onThread calls f on a locked thread, and afterwards returns the thread to its namespace, even if f ends the
// goroutine. A thread that cannot return stays locked, and so ends with its goroutine.
func onThread(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(current)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		defer home.Close()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// Do calls f inside the namespace. A socket belongs forever to the namespace of the thread that creates it,
// and any thread may use it. Programs that f starts are in the namespace; goroutines that it starts are not.
func (n *Namespace) Do(f func()) {
	n.tb.Helper()
	if err := onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		f()
		return nil
	}); err != nil {
		n.tb.Fatal(err)
	}
}

// Run runs a program inside the namespace and returns its output. The test fails if the program does, and is
// skipped if the program is not installed.
func (n *Namespace) Run(name string, args ...string) string {
	n.tb.Helper()
	cmd := exec.Command(testenv.Program(n.tb, name), args...)
	var out []byte
	var err error
	n.Do(func() { out, err = cmd.CombinedOutput() })
	if err != nil {
		n.tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// IP runs ip(8) with the given command line and returns its output.
func (n *Namespace) IP(format string, args ...any) string {
	n.tb.Helper()
	return n.Run("ip", strings.Fields(fmt.Sprintf(format, args...))...)
}

// Sysctl sets a parameter, given by its path below /proc/sys.
func (n *Namespace) Sysctl(name, value string) {
	n.tb.Helper()
	n.Do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
			n.tb.Fatal(err)
		}
	})
}

// Interface returns the interface with the given name in the namespace.
func (n *Namespace) Interface(name string) *net.Interface {
	n.tb.Helper()
	var ifi *net.Interface
	n.Do(func() {
		var err error
		if ifi, err = net.InterfaceByName(name); err != nil {
			n.tb.Fatalf("%s: %v", name, err)
		}
	})
	return ifi
}

// links counts the interfaces of all tests.
var links atomic.Int64

// Link joins two namespaces, or one with itself, by a pair of virtual Ethernet interfaces, and returns both
// ends when they are up. Their names and indexes are unique in the process, because package net and others
// cache for a minute which name belongs to which index, regardless of the namespace.
func Link(a, b *Namespace) (*net.Interface, *net.Interface) {
	a.tb.Helper()
	i := 2 * links.Add(1)
	return LinkAs(a, b, int(100_000+i), int(100_000+i+1))
}

// LinkAs is Link with indexes of the caller's choice, which determine the names: a recreated interface may
// have either again.
func LinkAs(a, b *Namespace, indexA, indexB int) (*net.Interface, *net.Interface) {
	a.tb.Helper()
	if _, err := net.Interfaces(); err != nil {
		testenv.Skip(a.tb, "no interfaces: "+err.Error()) // for example under an emulator
	}
	nameA, nameB := fmt.Sprintf("link%d", indexA), fmt.Sprintf("link%d", indexB)
	a.IP("link add name %s index %d type veth peer name %s index %d netns /proc/%d/fd/%d",
		nameA, indexA, nameB, indexB, os.Getpid(), b.file.Fd())
	a.IP("link set %s up", nameA)
	b.IP("link set %s up", nameB)
	a.AwaitUp(nameA)
	b.AwaitUp(nameB)
	return a.Interface(nameA), b.Interface(nameB)
}

// AwaitUp waits until the kernel has noticed, in the background, that both ends are up. Until then it drops
// datagrams.
func (n *Namespace) AwaitUp(name string) {
	n.tb.Helper()
	await.Until(n.tb, name+" up", func() bool { return n.Interface(name).Flags&net.FlagRunning != 0 })
}

// Addresses adds addresses with prefix lengths to an interface, and returns when they are usable.
func (n *Namespace) Addresses(ifi *net.Interface, addresses ...string) {
	n.tb.Helper()
	for _, address := range addresses {
		if !strings.Contains(address, ":") {
			n.IP("address add %s broadcast + dev %s", address, ifi.Name)
			continue
		}
		n.IP("address add %s dev %s nodad", address, ifi.Name)
		// The kernel adds the route to an IPv6 address later, from a work queue (addrconf_dad_work).
		host, _, _ := strings.Cut(address, "/")
		await.Until(n.tb, "route to "+address, func() bool {
			return strings.Contains(n.IP("-6 route show table local"), "local "+host+" dev "+ifi.Name+" ")
		})
	}
}
