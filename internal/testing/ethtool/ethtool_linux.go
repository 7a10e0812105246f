package ethtool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/ethtool.h.
const (
	getStrings  = 0x1b
	setInfo     = 0x37 // ETHTOOL_GSSET_INFO: the number of strings in a set
	setFeatures = 0x3b
	featureSet  = 4  // ETH_SS_FEATURES
	nameLen     = 32 // ETH_GSTRING_LEN
)

// Set turns a device's offload on or off, as "ethtool -K" does, in the namespace of the
// calling thread.
func Set(device, feature string, on bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	index, total, err := featureIndex(fd, device, feature)
	if err != nil {
		return err
	}
	// struct ethtool_sfeatures: cmd, the number of blocks, then 32 valid and 32 requested bits for each
	blocks := (total + 31) / 32
	req := make([]byte, 8+8*blocks)
	order := binary.NativeEndian
	order.PutUint32(req, setFeatures)
	order.PutUint32(req[4:], uint32(blocks))
	block := req[8+8*(index/32):]
	bit := uint32(1) << (index % 32)
	order.PutUint32(block, bit)
	if on {
		order.PutUint32(block[4:], bit)
	}
	return ethtool(fd, device, req)
}

// featureIndex returns the bit of the feature with the given name.
func featureIndex(fd int, device, feature string) (index, total int, err error) {
	order := binary.NativeEndian
	info := make([]byte, 20) // struct ethtool_sset_info with room for one count
	order.PutUint32(info, setInfo)
	order.PutUint64(info[8:], 1<<featureSet)
	if err := ethtool(fd, device, info); err != nil {
		return 0, 0, err
	}
	total = int(order.Uint32(info[16:]))
	names := make([]byte, 12+total*nameLen) // struct ethtool_gstrings
	order.PutUint32(names, getStrings)
	order.PutUint32(names[4:], featureSet)
	order.PutUint32(names[8:], uint32(total))
	if err := ethtool(fd, device, names); err != nil {
		return 0, 0, err
	}
	for i := range total {
		name, _, _ := bytes.Cut(names[12+i*nameLen:12+(i+1)*nameLen], []byte{0})
		if string(name) == feature {
			return i, total, nil
		}
	}
	return 0, 0, fmt.Errorf("%s has no feature %s", device, feature)
}

// ethtool calls the ioctl with req as its data.
func ethtool(fd int, device string, req []byte) error {
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the kernel's struct ifreq is larger than a pointer after the name
	}
	copy(ifr.name[:unix.IFNAMSIZ-1], device)
	ifr.data = unsafe.Pointer(&req[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	if errno != 0 {
		return fmt.Errorf("ethtool %s: %w", device, errno)
	}
	return nil
}
