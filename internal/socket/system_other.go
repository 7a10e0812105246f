//go:build !linux

package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// Nobody but Linux tells the MTU of a path.
const pathMTU4, pathMTU6 = 0, 0

const (
	forceReadBuffer, forceWriteBuffer = 0, 0
	bufferCharge                      = 1
)

var bufferLimits = map[Option]string{ReadBuffer: "the system's limit", WriteBuffer: "the system's limit"}

// release is not known.
func release() string { return "" }

func newSystem(h *handle) Socket { return newPortable(h) }

// isPortable says which implementation serves a socket.
func isPortable(Config) bool { return true }

// hearOnlyJoined does nothing: a socket hears what it joined.
func (h *handle) hearOnlyJoined() {}

func (h *handle) reportNetworkErrors() error { return errors.ErrUnsupported }

func (h *handle) offload(Config) { h.noOffload() }

// errForgetsAddress refuses to open to the whole network what was bound to one address.
var errForgetsAddress = fmt.Errorf("the system would forget the local address: %w", errors.ErrUnsupported)

// boundDevice is of use where disconnecting forgets it.
func boundDevice(uintptr) string { return "" }

// disconnect connects to the null address. On Windows that is how to do it; the
// systems that descend from BSD dissolve the association before they find out
// that they cannot connect to port 0 (soconnect, in_pcbconnect). All keep the
// port.
func (h *handle) disconnect(fd uintptr) error {
	if forgetsAddress && !h.wildcard {
		return errForgetsAddress
	}
	null := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if h.family != IPv4 {
		null = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	sa, err := new(sockaddrs).encode(null, h.family, nil)
	if err != nil {
		return err
	}
	err = syscall.Connect(descriptor(fd), sa)
	if err == nil || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return os.NewSyscallError("connect", err)
}
