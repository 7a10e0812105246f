// Package systems lists what each operating system has: the one list that the
// code goes by, that tests skip by, and that the documentation is checked
// against.
package systems

import (
	"runtime"
	"strings"
)

// A Set is a set of operating systems.
type Set uint8

// The systems that the module supports.
const (
	Linux Set = 1 << iota
	MacOS
	FreeBSD
	NetBSD
	OpenBSD
	Windows

	BSD  = FreeBSD | NetBSD | OpenBSD
	Unix = Linux | MacOS | BSD
	All  = Unix | Windows
)

// Current is the system that the program runs on.
var Current = map[string]Set{
	"linux": Linux, "darwin": MacOS, "freebsd": FreeBSD, "netbsd": NetBSD, "openbsd": OpenBSD, "windows": Windows,
}[runtime.GOOS]

// Here reports whether the program runs on one of the systems.
func (s Set) Here() bool { return s&Current != 0 }

// String returns the names as they stand in a sentence: "Linux, macOS and the BSDs".
func (s Set) String() string {
	var names []string
	for _, system := range []struct {
		set  Set
		name string
	}{
		{Linux, "Linux"},
		{MacOS, "macOS"},
		{BSD, "the BSDs"},
		{FreeBSD, "FreeBSD"},
		{NetBSD, "NetBSD"},
		{OpenBSD, "OpenBSD"},
		{Windows, "Windows"},
	} {
		if s&system.set == system.set {
			names = append(names, system.name)
			s &^= system.set
		}
	}
	last := max(len(names)-1, 0)
	if last == 0 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// Support says which systems have something on a socket of IPv4, on one of
// IPv6, and for both families at once on a dual-stack socket.
type Support struct{ IPv4, IPv6, Dual Set }

// Here reports whether the program runs on a system that has it over IPv4, or
// over IPv6.
func (s Support) Here(v4 bool) bool {
	if v4 {
		return s.IPv4.Here()
	}
	return s.IPv6.Here()
}

func everywhere(s Set) Support { return Support{s, s, s} }

// Options.
var (
	Common = everywhere(All) // what every system has
	// ReusePort is for load balancing: SO_REUSEPORT of the other systems spreads
	// no load (libuv, uv__sock_reuseport).
	ReusePort     = everywhere(Linux | FreeBSD)
	Steering      = everywhere(Linux) // among sockets that share a port
	BindToDevice  = everywhere(Linux | MacOS)
	NetworkErrors = everywhere(Linux)
	PathMTU       = everywhere(Linux)
	DontFragment  = Support{IPv4: All &^ (NetBSD | OpenBSD), IPv6: All, Dual: OptionsOfIPv4}
	Drops         = everywhere(Linux) // the kernel's count of dropped datagrams
	Open          = everywhere(Unix)  // and File
	// Disconnect is for sockets that are bound to one address: the others would
	// be bound to all, and cannot be bound again (udp_disconnect, in_pcbbind).
	Disconnect = everywhere(Linux | Windows)
)

// LateReusePort are the systems on which a bound socket can start to share its
// port. On FreeBSD only sockets that were bound with the option share the load
// (in_pcbinslbgrouphash).
const LateReusePort = Linux

// OptionsOfIPv4 are the systems whose dual-stack sockets take the options of
// IPv4. The others refuse most of them with EINVAL (udp_ctloutput;
// github.com/mobile-shell/mosh/issues/659, github.com/robovm/robovm/issues/75).
const OptionsOfIPv4 = Linux | Windows

// Fields of Metadata of received datagrams.
var (
	ReceiveLocal        = Support{IPv4: Unix, IPv6: Unix, Dual: Unix & OptionsOfIPv4} // IfIndex too
	ReceiveHopLimit     = Support{IPv4: Unix, IPv6: Unix, Dual: Unix & OptionsOfIPv4}
	ReceiveTrafficClass = Support{IPv4: Linux | MacOS | FreeBSD, IPv6: Unix, Dual: Unix & OptionsOfIPv4}
	ReceiveTime         = everywhere(Unix)
)

// Fields of Metadata of sent datagrams. The family is the destination's.
var (
	SendLocal        = everywhere(Unix)
	SendInterface    = Support{IPv4: Linux | MacOS, IPv6: Unix, Dual: Unix} // IfIndex without Local
	SendHopLimit     = Support{IPv4: Linux, IPv6: Unix, Dual: Unix}
	SendTrafficClass = Support{IPv4: Linux | MacOS | FreeBSD, IPv6: Unix, Dual: Unix}
)
