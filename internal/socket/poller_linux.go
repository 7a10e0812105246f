package socket

import (
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isNotPollable recognises an unexported error of package poll: the poller saw
// nothing but an error condition, as happens while the send buffer is full
// (netpollcheckerr, since an event of EPOLLERR alone counts as failure).
func isNotPollable(err error) bool {
	return strings.Contains(err.Error(), "not pollable")
}

// pollable takes away what makes the poller refuse to wait, and returns it.
func (s *system) pollable() error {
	list := s.NetworkErrors()
	pending, _ := s.getInt(unix.SOL_SOCKET, unix.SO_ERROR) // reading it clears it
	switch errno := syscall.Errno(pending); {
	case len(list) > 0: // they explain the errno
	case errno != 0 && !s.isNetworkError(errno): // else a send has found and reported it
		return os.NewSyscallError("recvmmsg", errno)
	default:
		time.Sleep(time.Millisecond) // until there is another event, nobody can wait for it
	}
	return list
}
