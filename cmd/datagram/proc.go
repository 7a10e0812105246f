package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// This file reads /proc of Linux. Elsewhere, and in containers that hide it, nothing is found there.

// sysctl returns the value of a parameter of the kernel, for instance net.core.rmem_max.
func sysctl(name string) (int, bool) {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return n, err == nil
}

// A lossySocket is a socket that has dropped datagrams.
type lossySocket struct {
	local netip.AddrPort
	inode string
	drops uint64
	owner string // if it may be known
}

func (s lossySocket) String() string {
	if s.owner == "" {
		return s.local.String()
	}
	return fmt.Sprintf("%v (%s)", s.local, s.owner)
}

// lossySockets returns the UDP sockets of this network namespace that have dropped datagrams, those with the
// most first.
func lossySockets() (lossy []lossySocket) {
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		text, _ := os.ReadFile(file)
		lossy = append(lossy, parseSockets(string(text))...)
	}
	if len(lossy) == 0 {
		return nil
	}
	owners := socketOwners()
	for i := range lossy {
		lossy[i].owner = owners["socket:["+lossy[i].inode+"]"]
	}
	slices.SortFunc(lossy, func(a, b lossySocket) int { return int(b.drops) - int(a.drops) })
	return lossy
}

// parseSockets returns the sockets in /proc/net/udp (proc_net(5), udp4_format_sock of the kernel) that have
// dropped datagrams.
func parseSockets(text string) (lossy []lossySocket) {
	for line := range strings.Lines(text) {
		const local, inode, drops, all = 1, 9, 12, 13
		fields := strings.Fields(line)
		if len(fields) < all {
			continue
		}
		n, err := strconv.ParseUint(fields[drops], 10, 64)
		addr, ok := parseProcAddr(fields[local])
		if err == nil && ok && n > 0 {
			lossy = append(lossy, lossySocket{local: addr, inode: fields[inode], drops: n})
		}
	}
	return lossy
}

// parseProcAddr parses an address such as 0100007F:0035. It consists of words in the order of the
// machine, and a port.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	b, hostErr := hex.DecodeString(host)
	if err != nil || hostErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}

// socketOwners returns the names and numbers of the processes that hold sockets, by what /proc/*/fd says of these. It sees the
// processes of other users only as root.
func socketOwners() map[string]string {
	owners := make(map[string]string)
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil || !strings.HasPrefix(target, "socket:") {
			continue
		}
		process := filepath.Dir(filepath.Dir(file))
		name, _ := os.ReadFile(process + "/comm")
		owners[target] = fmt.Sprintf("%s %s", strings.TrimSpace(string(name)), filepath.Base(process))
	}
	return owners
}

// udpErrors returns the counters of /proc/net/snmp that tell of lost datagrams.
func udpErrors() map[string]uint64 {
	text, _ := os.ReadFile("/proc/net/snmp")
	return parseErrors(string(text))
}

func parseErrors(snmp string) map[string]uint64 {
	meaning := map[string]string{
		"RcvbufErrors": "datagrams lost to full receive buffers",
		"SndbufErrors": "datagrams not sent for lack of room",
		"InCsumErrors": "datagrams with wrong checksums",
		"MemErrors":    "datagrams lost to the limit of all sockets (net.ipv4.udp_mem)",
	}
	errors := make(map[string]uint64)
	var names []string
	for line := range strings.Lines(snmp) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, field := range fields[:min(len(fields), len(names))] {
			if m, ok := meaning[names[i]]; ok {
				errors[m], _ = strconv.ParseUint(field, 10, 64)
			}
		}
	}
	return errors
}

// backlogDrops returns how many packets found the queues between interfaces and protocols full: the second
// column of /proc/net/softnet_stat, of each processor.
func backlogDrops() (n uint64) {
	text, _ := os.ReadFile("/proc/net/softnet_stat")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			drops, _ := strconv.ParseUint(fields[1], 16, 64)
			n += drops
		}
	}
	return n
}
