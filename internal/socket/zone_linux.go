package socket

import (
	"net"

	"golang.org/x/sys/unix"
)

// interfaceName and interfaceIndex ask in the network namespace of the socket (netdevice(7)).

func interfaceName(h *handle, index uint32) (string, error) {
	if h == nil {
		ifi, err := net.InterfaceByIndex(int(index))
		if err != nil {
			return "", err
		}
		return ifi.Name, nil
	}
	request, err := h.interfaceRequest(unix.SIOCGIFNAME, "", index)
	if err != nil {
		return "", err
	}
	return request.Name(), nil
}

func interfaceIndex(h *handle, name string) (uint32, error) {
	if h == nil {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return 0, err
		}
		return uint32(ifi.Index), nil
	}
	request, err := h.interfaceRequest(unix.SIOCGIFINDEX, name, 0)
	if err != nil {
		return 0, err
	}
	return request.Uint32(), nil
}

func (h *handle) interfaceRequest(request uint, name string, index uint32) (*unix.Ifreq, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	if index != 0 {
		r.SetUint32(index)
	}
	return r, h.control(func(fd uintptr) error { return unix.IoctlIfreq(int(fd), request, r) })
}
