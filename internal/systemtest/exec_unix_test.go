//go:build unix

package systemtest_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

// No descriptor survives into programs that this one starts.
func TestDescriptorsCloseOnExec(t *testing.T) {
	listening := conntest.Loopback(t)
	file, err := listening.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	opened, err := datagram.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for what, c := range map[string]syscall.Conn{
		"Listen": listening, "Dial": conntest.Dial(t, listening), "File": file, "Open": opened,
	} {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := raw.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s: descriptor flags %#x, %v", what, flags, err)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}
