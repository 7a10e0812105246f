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
	"time"

	"golang.org/x/sys/unix"
)

// Watchdog is how long tests wait for what must happen.
const Watchdog = 10 * time.Second

// A Namespace is a network namespace. It lives until the test ends and its
// last socket is closed.
type Namespace struct {
	tb   testing.TB
	file *os.File
}

// New returns a new namespace whose loopback interface is up. Addresses of IPv6
// are usable at once in it, since it does not look for duplicates. The test is
// skipped if it may not make namespaces.
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
		Skip(tb, "no network namespaces: "+err.Error())
	}
	tb.Cleanup(func() { n.file.Close() })
	n.Sysctl("net/ipv6/conf/all/accept_dad", "0")
	n.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	// Addresses that a test did not ask for would be used as sources.
	n.Sysctl("net/ipv6/conf/default/addr_gen_mode", "1")
	n.IP("link set lo up")
	return n
}

// Skip skips a test, with a reason. Where DATAGRAM_CI is 1 every test must be possible, and
// skipping fails.
func Skip(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("DATAGRAM_CI") == "1" {
		tb.Fatal("DATAGRAM_CI forbids skipping: " + reason)
	}
	tb.Skip(reason)
}

// current is the namespace of the thread that opens it.
const current = "/proc/thread-self/ns/net"

// onThread calls f on a thread that nothing else runs on meanwhile, and puts the
// thread back into its namespace afterwards, also if f ends the goroutine. A thread
// that cannot be put back stays locked, and so ends with its goroutine.
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

// Do calls f inside the namespace: a socket belongs to the namespace of the
// thread that makes it, for ever, and may be used from any thread then.
// Goroutines that f starts are not in the namespace, programs that it starts
// are.
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

// Run runs a program inside the namespace and returns what it prints. The test
// fails if the program does.
func (n *Namespace) Run(name string, args ...string) string {
	n.tb.Helper()
	out, err := n.Output(exec.Command(name, args...))
	if err != nil {
		n.tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Output runs a command inside the namespace and returns what it prints.
func (n *Namespace) Output(cmd *exec.Cmd) (out []byte, err error) {
	n.tb.Helper()
	n.Do(func() { out, err = cmd.CombinedOutput() })
	return out, err
}

// IP runs ip(8) with the words of a command line and returns what it prints.
func (n *Namespace) IP(format string, args ...any) string {
	n.tb.Helper()
	return n.Run("ip", strings.Fields(fmt.Sprintf(format, args...))...)
}

// Sysctl sets a parameter, by its path below /proc/sys.
func (n *Namespace) Sysctl(name, value string) {
	n.tb.Helper()
	n.Do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
			n.tb.Fatal(err)
		}
	})
}

// Interface returns an interface of the namespace by its name.
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

// Link joins two namespaces, or one with itself, by a pair of virtual Ethernet
// interfaces and returns the end of each when both are up. Their names and
// indexes are unique in the process, because package net and others keep in
// mind for a minute which name belongs to which index, whatever the namespace.
func Link(a, b *Namespace) (*net.Interface, *net.Interface) {
	a.tb.Helper()
	i := 2 * links.Add(1)
	return LinkAs(a, b, int(100_000+i), int(100_000+i+1))
}

// LinkAs is Link with indexes of the caller's choice, from which the names follow: an interface
// that comes back may come back with either.
func LinkAs(a, b *Namespace, indexA, indexB int) (*net.Interface, *net.Interface) {
	a.tb.Helper()
	if _, err := net.Interfaces(); err != nil {
		Skip(a.tb, "no interfaces: "+err.Error()) // as under an emulator
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

// AwaitUp waits until the kernel has noticed that both ends are up, which it
// does in the background: until then it drops what is sent.
func (n *Namespace) AwaitUp(name string) {
	n.tb.Helper()
	Await(n.tb, name+" up", func() bool { return n.Interface(name).Flags&net.FlagRunning != 0 })
}

// Await waits until condition holds, for what the kernel does not tell.
func Await(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.After(Watchdog)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within %v: %s", Watchdog, what)
		}
	}
}

// Addresses gives addresses with prefix lengths to an interface, and returns
// when they can be used.
func (n *Namespace) Addresses(ifi *net.Interface, addresses ...string) {
	n.tb.Helper()
	for _, address := range addresses {
		if !strings.Contains(address, ":") {
			n.IP("address add %s broadcast + dev %s", address, ifi.Name)
			continue
		}
		n.IP("address add %s dev %s nodad", address, ifi.Name)
		// The kernel inserts the route to an IPv6 address later, from a work
		// queue (addrconf_dad_work).
		host, _, _ := strings.Cut(address, "/")
		Await(n.tb, "route to "+address, func() bool {
			return strings.Contains(n.IP("-6 route show table local"), "local "+host+" dev "+ifi.Name+" ")
		})
	}
}
