package child

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Buffer is what every peer asks for as receive and send buffer.
const Buffer = 4 << 20

// Grow gives a socket the bench's buffers, past the system's limit where that is allowed. All
// Go peers use it, so that none has the larger buffers.
func Grow(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { GrowFD(int(fd)) })
}

// GrowFD is Grow for a bare descriptor. What the system does not grant is no error: the parent
// prints what it grants.
func GrowFD(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, Buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, Buffer)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, Buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, Buffer)
	}
}

// Granted returns what the system makes of Buffer, as it reports it: twice the usable bytes.
func Granted() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	GrowFD(fd)
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
}

// In runs f in the network namespace at path, or where it is for "". Sockets stay in the
// namespace they were made in, so only making them has to happen there.
func In(path string, f func() error) error {
	if path == "" {
		return f()
	}
	runtime.LockOSThread() // stays locked after an error: a thread in a strange namespace must die
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	away, err := os.Open(path)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	ferr := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leave %s: %w", path, err)
	}
	runtime.UnlockOSThread()
	return ferr
}
