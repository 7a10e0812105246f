package socket

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func newSocket(t *testing.T) *kernelSocket {
	t.Helper()
	s, _ := listenHere(t, Config{Portable: true})
	return s.(*portableSocket).kernelSocket
}

// An option that the system does not know matches both errors.ErrUnsupported and the system's errno.
func TestUnknownOption(t *testing.T) {
	k := newSocket(t)
	const unknown = 9999
	_, get := k.getInt(unix.IPPROTO_IP, unknown)
	for _, err := range []error{k.setInt(unix.IPPROTO_IP, unknown, 1), get} {
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.ENOPROTOOPT) {
			t.Errorf("%v, want ENOPROTOOPT and errors.ErrUnsupported", err)
		}
	}
}

// DontFragment can be turned off again.
func TestDontFragmentIsASwitch(t *testing.T) {
	k := newSocket(t)
	for _, value := range []int{1, 0} {
		if err := k.SetOption(DontFragment, value); err != nil {
			t.Fatal(err)
		}
		mode, err := k.getInt(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
		if on := mode == unix.IP_PMTUDISC_PROBE; err != nil || on != (value == 1) {
			t.Errorf("set to %d: mode %d, %v", value, mode, err)
		}
	}
}

// BSD raises the send buffer, with functions that Linux runs too.
func TestSendBufferIsRaised(t *testing.T) {
	k := newSocket(t)
	if err := k.SetOption(WriteBuffer, 10_000); err != nil {
		t.Fatal(err)
	}
	size := func() int {
		n, err := k.Option(WriteBuffer)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	small := size()
	k.raiseSendBuffer(small)
	if size() != small {
		t.Errorf("%d became %d", small, size())
	}
	if !k.exceedsSendBuffer(small+1) || k.exceedsSendBuffer(small) {
		t.Errorf("a datagram of more than %d bytes and no other exceeds the buffer", small)
	}
	k.raiseSendBuffer(small + 1)
	if size() <= small {
		t.Errorf("%d was not raised", small)
	}
}
