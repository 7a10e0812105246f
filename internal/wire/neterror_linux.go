package wire

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ParseNetworkError finds the report among the control messages of the error
// queue: a struct sock_extended_err and the address of whoever reported (ip(7),
// IP_RECVERR). It leaves Dst to the caller.
func ParseNetworkError(b []byte, zones Zones) (e NetworkError, ok bool) {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return e, false
	}
	for _, m := range messages {
		const size = int(unsafe.Sizeof(unix.SockExtendedErr{}))
		v4 := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(m.Data) < size {
			continue
		}
		var extended unix.SockExtendedErr
		copy((*[size]byte)(unsafe.Pointer(&extended))[:], m.Data)
		e.Errno = unix.Errno(extended.Errno)
		if extended.Origin != unix.SO_EE_ORIGIN_ICMP && extended.Origin != unix.SO_EE_ORIGIN_ICMP6 {
			continue // time stamps and such, and what send has returned too
		}
		if e.Errno == unix.EMSGSIZE {
			e.MTU = int(extended.Info)
		}
		var offender RawSockaddr
		n := copy(offender.Bytes()[:], m.Data[size:])
		addr, _ := offender.Decode(uint32(n), zones)
		e.Offender = addr.Addr()
		return e, true
	}
	return e, false
}
