package socket

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func newHandle(t *testing.T) *handle {
	t.Helper()
	s, _ := listenHere(t, Config{Portable: true})
	return s.(*portable).handle
}

// An option that the system does not know is unsupported, and says what the system says.
func TestUnknownOption(t *testing.T) {
	h := newHandle(t)
	const unknown = 9999
	_, get := h.getInt(unix.IPPROTO_IP, unknown)
	for _, err := range []error{h.setInt(unix.IPPROTO_IP, unknown, 1), get} {
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.ENOPROTOOPT) {
			t.Errorf("%v, want ENOPROTOOPT and errors.ErrUnsupported", err)
		}
	}
}

// What is turned off is off.
func TestDontFragmentIsASwitch(t *testing.T) {
	h := newHandle(t)
	for _, value := range []int{1, 0} {
		if err := h.SetOption(DontFragment, value); err != nil {
			t.Fatal(err)
		}
		mode, err := h.getInt(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
		if on := mode == unix.IP_PMTUDISC_PROBE; err != nil || on != (value == 1) {
			t.Errorf("set to %d: mode %d, %v", value, mode, err)
		}
	}
}

// What systems do that descend from BSD, by means that Linux has too.
func TestSendBufferIsRaised(t *testing.T) {
	h := newHandle(t)
	if err := h.SetOption(WriteBuffer, 10_000); err != nil {
		t.Fatal(err)
	}
	size := func() int {
		n, err := h.Option(WriteBuffer)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	small := size()
	h.raiseSendBuffer(small)
	if size() != small {
		t.Errorf("%d became %d", small, size())
	}
	if !h.exceedsSendBuffer(small+1) || h.exceedsSendBuffer(small) {
		t.Errorf("a datagram of more than %d bytes and no other exceeds the buffer", small)
	}
	h.raiseSendBuffer(small + 1)
	if size() <= small {
		t.Errorf("%d was not raised", small)
	}
}
