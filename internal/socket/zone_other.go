//go:build !linux

package socket

import "net"

func interfaceName(_ *handle, index uint32) (string, error) {
	ifi, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return "", err
	}
	return ifi.Name, nil
}

func interfaceIndex(_ *handle, name string) (uint32, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return uint32(ifi.Index), nil
}
