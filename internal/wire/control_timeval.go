//go:build darwin || freebsd || netbsd || openbsd

package wire

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	ttlMessage  = unix.IP_RECVTTL
	ttlSize     = 1
	timeMessage = unix.SCM_TIMESTAMP
)

// decodeTime reads a struct timeval.
func decodeTime(data []byte) time.Time {
	var value unix.Timeval
	if len(data) != int(unsafe.Sizeof(value)) {
		return time.Time{}
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&value)), len(data)), data)
	return time.Unix(value.Unix())
}
