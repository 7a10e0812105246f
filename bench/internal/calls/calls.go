// Package calls counts the system calls of a process and all its threads, from outside and without
// stopping it as strace does: the kernel counts its tracepoint raw_syscalls:sys_enter. While it does,
// every system call of the machine takes a slower path.
package calls

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Counter counts the system calls of one process.
type Counter struct{ event *os.File }

// Start calls start, which starts a process, and returns a counter of that process's system calls.
// They count from its execve.
func Start(start func() error) (*Counter, error) {
	id, err := tracepoint()
	if err != nil {
		return nil, err
	}
	// A process inherits the counter of the thread that forks it. The thread ends with its
	// goroutine, so that no other process inherits this one.
	var c *Counter
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if c, err = open(id); err != nil {
			return
		}
		if err = start(); err != nil {
			c.Close()
		}
	}()
	<-done
	return c, err
}

// open returns a counter for the children of this thread. It rests until they call execve.
func open(id uint64) (*Counter, error) {
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_TRACEPOINT,
		Size:   uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Config: id,
		Bits:   unix.PerfBitDisabled | unix.PerfBitInherit | unix.PerfBitEnableOnExec,
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("perf_event_open", err)
	}
	return &Counter{os.NewFile(uintptr(fd), "perf event")}, nil
}

// Read returns the number of system calls so far.
func (c *Counter) Read() (uint64, error) {
	var b [8]byte
	_, err := io.ReadFull(c.event, b[:])
	return binary.NativeEndian.Uint64(b[:]), err
}

// Close ends counting.
func (c *Counter) Close() error { return c.event.Close() }

// Available returns an error that says why system calls cannot be counted, or nil.
func Available() error {
	c, err := Start(func() error { return nil })
	if err != nil {
		return err
	}
	return c.Close()
}

// tracepoint returns the kernel's number of raw_syscalls:sys_enter. It reads it from a tracefs of
// its own, which is mounted nowhere, since many systems mount none.
var tracepoint = sync.OnceValues(func() (uint64, error) {
	root, err := tracefs()
	if err != nil {
		return 0, err
	}
	defer unix.Close(root)
	const name = "events/raw_syscalls/sys_enter/id"
	fd, err := unix.Openat(root, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
})

// tracefs returns a descriptor of the root directory of a new mount.
func tracefs() (int, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return -1, errors.New("the kernel has no tracefs")
	}
	if err != nil {
		return -1, fmt.Errorf("mount tracefs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("mount tracefs: %w", err)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mount tracefs: %w", err)
	}
	return root, nil
}
