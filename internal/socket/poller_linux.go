package socket

import (
	"os"
	"strings"
	"syscall"
	"time"
)

// isNotPollable recognises an unexported error of package poll, with which the
// poller refuses to wait: it saw an error condition alone, as happens while the
// send buffer is full (netpollcheckerr; EPOLLERR alone counts as failure).
func isNotPollable(err error) bool {
	return strings.Contains(err.Error(), "not pollable")
}

// pollable clears the error condition that makes the poller refuse to wait, and
// returns the error.
func (s *linuxSocket) pollable() error {
	errno := s.takePending() // before the error queue, which changes it (sock_dequeue_err_skb)
	if errno == syscall.ECONNABORTED || s.isOverwritten() {
		return os.NewSyscallError("getsockopt", syscall.ECONNABORTED) // see restore
	}
	list := s.NetworkErrors()
	switch {
	case len(list) > 0: // they explain the errno
	case errno != 0 && !s.isNetworkError(errno): // else a send has collected it
		return os.NewSyscallError("getsockopt", errno)
	default:
		time.Sleep(time.Millisecond) // nothing tells when the poller will wait again
	}
	return list
}
