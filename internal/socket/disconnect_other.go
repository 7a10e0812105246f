//go:build !linux

package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"example.com/datagram/internal/systems"
	"example.com/datagram/internal/wire"
)

// errForgetsAddress refuses to open to the whole network what was bound to one
// address.
var errForgetsAddress = fmt.Errorf("the system would forget the local address: %w", errors.ErrUnsupported)

// disconnect connects to the null address. That is how Windows does it. BSD and
// macOS dissolve the association before they find out that they cannot connect
// to port 0 (soconnect, in_pcbconnect). All keep the port.
func (k *kernelSocket) disconnect(fd uintptr, _ uint16) error {
	if !k.wildcard && !systems.Disconnect.IPv4.Here() {
		return errForgetsAddress
	}
	null := netip.IPv6Unspecified()
	if k.family == IPv4 {
		null = netip.IPv4Unspecified()
	}
	sa, err := new(wire.Sockaddr).Encode(netip.AddrPortFrom(null, 0), k.family, nil)
	if err != nil {
		return err
	}
	err = syscall.Connect(descriptor(fd), sa)
	if err == nil || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return os.NewSyscallError("connect", err)
}

// boundDevice is of use where disconnecting forgets the device.
func boundDevice(uintptr) string { return "" }

// awaitChange is of use where the system changes sockets.
func (k *kernelSocket) awaitChange(uintptr) {}
