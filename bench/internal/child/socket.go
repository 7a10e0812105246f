package child

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Buffer is the size that every peer requests for its receive and send buffers.
const Buffer = 4 << 20

// Grow gives a socket the bench's buffers, beyond the system's limit if that is allowed. All Go
// peers use it, so that none has larger buffers.
func Grow(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { GrowFD(int(fd)) })
}

// GrowFD is Grow for a descriptor. It is no error if the system grants less; the parent prints what
// it grants.
func GrowFD(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, Buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, Buffer)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, Buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, Buffer)
	}
}

// Granted returns the size that the system grants for Buffer, as it reports it: twice the usable
// bytes.
func Granted() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	GrowFD(fd)
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
}

// In runs f in the network namespace at path, or in the current one for "". Sockets stay in the
// namespace in which they were created, so only their creation has to happen there.
func In(path string, f func() error) error {
	if path == "" {
		return f()
	}
	runtime.LockOSThread() // stays locked after an error: a thread in another namespace must die
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
