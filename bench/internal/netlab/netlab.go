// Package netlab creates the bench's own network: two namespaces joined by a veth pair whose
// devices do not segment, so that traffic crosses it packet by packet, as on a plain NIC.
package netlab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/internal/testing/ethtool"
)

// Addresses of the two ends, from the range that RFC 2544 reserves for benchmarks.
const (
	SendAddr = "198.18.0.1"
	RecvAddr = "198.18.0.2"
)

const device = "veth0" // in each namespace

// Lab is a pair of joined namespaces.
type Lab struct {
	SendNS, RecvNS string // paths for setns
	names          []string
}

// New creates the namespaces. Close removes them.
func New() (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("no ip command (iproute2)")
	}
	a := fmt.Sprintf("datagram-bench-a%d", os.Getpid())
	b := fmt.Sprintf("datagram-bench-b%d", os.Getpid())
	l := &Lab{SendNS: "/run/netns/" + a, RecvNS: "/run/netns/" + b, names: []string{a, b}}
	for _, line := range []string{
		"netns add " + a,
		"netns add " + b,
		"-n " + a + " link add " + device + " type veth peer name " + device + " netns " + b,
		"-n " + a + " addr add " + SendAddr + "/30 dev " + device,
		"-n " + b + " addr add " + RecvAddr + "/30 dev " + device,
		"-n " + a + " link set " + device + " up",
		"-n " + b + " link set " + device + " up",
	} {
		if err := ip(line); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	for _, ns := range []string{l.SendNS, l.RecvNS} {
		if err := child.In(ns, func() error { return ethtool.Set(device, "tx-udp-segmentation", false) }); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

func ip(line string) error {
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}

// Unplug takes the sending interface down for a while.
func (l *Lab) Unplug(pause time.Duration) error {
	if err := ip("-n " + l.names[0] + " link set " + device + " down"); err != nil {
		return err
	}
	time.Sleep(pause)
	return ip("-n " + l.names[0] + " link set " + device + " up")
}

// Close removes the namespaces, and the pair with them.
func (l *Lab) Close() error {
	var errs []error
	for _, n := range l.names {
		if _, err := os.Stat("/run/netns/" + n); err == nil {
			errs = append(errs, exec.Command("ip", "netns", "del", n).Run())
		}
	}
	return errors.Join(errs...)
}

// Received returns the number of packets that the receiving device has received. A batch that
// crossed unsegmented counts as one.
func (l *Lab) Received() (uint64, error) {
	var n uint64
	err := child.In(l.RecvNS, func() error {
		f, err := os.Open("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			name, rest, _ := strings.Cut(lines.Text(), ":")
			if fields := strings.Fields(rest); strings.TrimSpace(name) == device && len(fields) > 1 {
				n, err = strconv.ParseUint(fields[1], 10, 64)
				return err
			}
		}
		return fmt.Errorf("no counters for %s", device)
	})
	return n, err
}
