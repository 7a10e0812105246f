package netns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/testing/testenv"
)

// Destroy makes the kernel destroy the UDP socket in the calling thread's namespace that would receive what
// remote sends to local, as ss -K does (SOCK_DESTROY of linux/sock_diag.h). If that is not possible, it skips
// the test.
func Destroy(tb testing.TB, local, remote netip.AddrPort) {
	tb.Helper()
	switch err := destroy(local, remote); {
	case err == nil:
	case errors.Is(err, unix.EPERM):
		testenv.Skip(tb, "sockets cannot be destroyed: "+err.Error())
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
		// Without CONFIG_INET_DIAG_DESTROY, without CONFIG_INET_UDP_DIAG, and under qemu-user.
		tb.Skip("this kernel destroys no sockets: " + err.Error())
	default:
		tb.Fatalf("destroying the socket at %v: %v", local, err)
	}
}

func destroy(local, remote netip.AddrPort) error {
	const (
		sockDestroy = 21 // SOCK_DESTROY
		headerSize  = unix.SizeofNlMsghdr
		requestSize = 56 // struct inet_diag_req_v2 of linux/inet_diag.h
	)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b := make([]byte, headerSize+requestSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDestroy)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	r := b[headerSize:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_UDP
	if local.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(r[4:], 0xffffffff) // of any state
	binary.BigEndian.PutUint16(r[8:], local.Port())
	binary.BigEndian.PutUint16(r[10:], remote.Port())
	copy(r[12:28], local.Addr().AsSlice())
	copy(r[28:44], remote.Addr().AsSlice())
	if local.Addr().IsLoopback() {
		binary.NativeEndian.PutUint32(r[44:], 1) // LOOPBACK_IFINDEX, which matters to sockets that are bound to a device
	}
	binary.NativeEndian.PutUint64(r[48:], 0xffffffffffffffff) // INET_DIAG_NOCOOKIE
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < headerSize+4 {
		return errors.Join(err, unix.EPROTO)
	}
	// An acknowledgement is an error of 0 (netlink(7)).
	if errno := -int32(binary.NativeEndian.Uint32(answer[headerSize:])); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}
