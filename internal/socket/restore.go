package socket

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// A LostError says that the system took the peer or the port away from the
// socket, and that it could not be restored. It matches ECONNABORTED.
type LostError struct{ Err error }

func (e *LostError) Error() string {
	return syscall.ECONNABORTED.Error() + ", and not restored: " + e.Err.Error()
}

// Unwrap returns ECONNABORTED and why the socket was not restored.
func (e *LostError) Unwrap() []error { return []error{syscall.ECONNABORTED, e.Err} }

// isChange reports whether an errno of a send means that the system has changed
// the socket. Linux does so on SOCK_DESTROY, which ss -K, Android and container
// networks use: it dissolves the association and takes back what it had chosen
// itself, as connect(2) does with AF_UNSPEC, and leaves ECONNABORTED pending
// (udp_abort). A send that names no peer fails for want of one before it meets
// that error (udp_sendmsg).
func (k *kernelSocket) isChange(errno syscall.Errno, by route) bool {
	return k.family != Other && (errno == syscall.ECONNABORTED || by.unnamed && errno == syscall.EDESTADDRREQ)
}

// restore makes the socket what it was, after somebody met an errno which means
// that it was changed. It reports whether the socket was still changed, and
// whether to tell the owner: once for each change, whoever meets it first. If it
// fails the socket stays as the system has left it.
func (k *kernelSocket) restore(met syscall.Errno) (changed, tell bool, err error) {
	k.connection.Lock()
	defer k.connection.Unlock()
	var lost error
	if err := k.control(func(fd uintptr) error {
		k.awaitChange(fd)
		if changed = !k.udp || !k.isIntact(fd); changed {
			lost = k.remake(fd)
		}
		return nil
	}); err != nil {
		return false, false, err
	}
	switch {
	case changed:
		// The ECONNABORTED may still be pending, or somebody has it who will call
		// restore next.
		if met != syscall.ECONNABORTED && !k.takeAbort() {
			k.toldAhead++
		}
	case met == syscall.ECONNABORTED && k.toldAhead > 0: // it was told ahead
		k.toldAhead--
		return changed, false, nil
	case met == syscall.ECONNABORTED: // there was nothing to change
	default:
		return changed, false, nil
	}
	k.settle() // the source may be another
	if lost != nil {
		return changed, false, &LostError{lost}
	}
	return changed, true, nil
}

// isIntact reports whether the socket is what it was. connection must be held.
func (k *kernelSocket) isIntact(fd uintptr) bool {
	port := k.sockname(fd).Port()
	return port != 0 && port == k.port && k.peername(fd) == k.peer &&
		(k.peer.IsValid() || boundDevice(fd) == k.device)
}

// isOverwritten reports whether the system has changed the socket, and then told
// it of a network error in place of the ECONNABORTED, which the socket has one
// place for. An unconnected socket is told of those only if somebody asked.
func (k *kernelSocket) isOverwritten() (changed bool) {
	if !k.udp || !k.limits.NetworkErrors && !k.hears() {
		return false
	}
	k.connection.Lock()
	defer k.connection.Unlock()
	_ = k.control(func(fd uintptr) error {
		k.awaitChange(fd)
		changed = k.isBereft(fd) || k.peer.IsValid() && !k.peername(fd).IsValid()
		return nil
	})
	return changed
}

// isBereft reports whether the socket lacks the port or the device that it had.
// Another one may be the program's doing. connection must be held.
func (k *kernelSocket) isBereft(fd uintptr) bool {
	return k.port != 0 && k.sockname(fd).Port() == 0 || k.device != "" && boundDevice(fd) == ""
}

// remake binds and connects the socket again. connection must be held.
func (k *kernelSocket) remake(fd uintptr) error {
	switch {
	case !k.udp: // other sockets cannot receive again (raw_unhash_sk)
		return errors.ErrUnsupported
	case k.port == 0: // another holder of the socket has bound it
		return errors.New("the port is not known")
	}
	if err := k.disconnect(fd, k.port); err != nil || !k.peer.IsValid() {
		return err
	}
	return k.connect(fd, k.peer)
}

// takePending takes the pending error, or 0 if there is none.
func (k *kernelSocket) takePending() syscall.Errno {
	errno, _ := k.getInt(syscall.SOL_SOCKET, pendingError)
	return syscall.Errno(errno)
}

// takeAbort takes the pending error and reports whether it was ECONNABORTED.
func (k *kernelSocket) takeAbort() bool {
	errno := k.takePending()
	if errno != 0 && errno != syscall.ECONNABORTED {
		k.keep(os.NewSyscallError("getsockopt", errno))
	}
	return errno == syscall.ECONNABORTED
}

// restoreForSend is restore for a send. The socket's owner is told later.
func (k *kernelSocket) restoreForSend(call string, met syscall.Errno) (changed bool, err error) {
	changed, tell, err := k.restore(met)
	var lost *LostError
	switch {
	case errors.As(err, &lost):
		k.keep(err)
	case tell:
		k.keep(os.NewSyscallError(call, syscall.ECONNABORTED))
	}
	return changed, err
}

// restoreAfter is restore for a receive that failed with err. It returns the
// error to report, or nil to receive again.
func (k *kernelSocket) restoreAfter(err error) error {
	switch {
	case k.family == Other, errors.Is(err, ErrInterrupted), errors.Is(err, net.ErrClosed):
		return err
	case errors.Is(err, syscall.ECONNABORTED):
	case k.isOverwritten():
		k.keep(err)
		err = os.NewSyscallError("recvmsg", syscall.ECONNABORTED)
	default:
		return err
	}
	switch _, tell, failed := k.restore(syscall.ECONNABORTED); {
	case failed != nil:
		return failed
	case !tell:
		return nil
	}
	return err
}
