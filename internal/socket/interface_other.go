//go:build !linux

package socket

import "net"

func (k *kernelSocket) interfaceIndex(name string) (uint32, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return uint32(ifi.Index), nil
}

// Interface describes an interface.
func (k *kernelSocket) Interface(index int) (*net.Interface, error) {
	return net.InterfaceByIndex(index)
}

// multicastInterface4 does not ask: what was set by this socket is remembered.
func (k *kernelSocket) multicastInterface4() (int, error) { return 0, nil }
