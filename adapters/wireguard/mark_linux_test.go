package wireguard_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/adapters/wireguard"
	"example.com/datagram/internal/testing/testenv"
)

func TestMark(t *testing.T) {
	b := wireguard.NewBind()
	open(t, b)
	if err := b.SetMark(42); errors.Is(err, unix.EPERM) {
		testenv.Skip(t, "SO_MARK needs CAP_NET_ADMIN")
	} else if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Conn().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var mark int
	raw.Control(func(fd uintptr) { mark, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK) })
	if mark != 42 || err != nil {
		t.Errorf("the mark is %d, %v", mark, err)
	}
}
