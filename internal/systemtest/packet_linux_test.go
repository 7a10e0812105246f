package systemtest_test

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// experimental is an EtherType for use within a network (IEEE 802).
const experimental = 0x88b5

// networkOrder returns a 16-bit number as the kernel keeps protocols of packet sockets.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// linkAddr is the address of a station on an Ethernet (packet(7)).
func linkAddr(ifi *net.Interface, station net.HardwareAddr) datagram.RawAddr {
	sa := unix.RawSockaddrLinklayer{
		Family:   unix.AF_PACKET,
		Protocol: networkOrder(experimental),
		Ifindex:  int32(ifi.Index),
		Halen:    uint8(len(station)),
	}
	copy(sa.Addr[:], station)
	return datagram.RawAddr{Sockaddr: slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)))}
}

// packetSocket returns a packet socket that hears one EtherType on one interface.
func packetSocket(t *testing.T, n *netns.Namespace, kind int, ifi *net.Interface) *datagram.Conn {
	t.Helper()
	file := newSocket(t, n, unix.AF_PACKET, kind, 0)
	conntest.OnFile(t, file, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(experimental), Ifindex: ifi.Index})
	})
	return conntest.Open(t, file)
}

// One side sends and receives whole frames, the other has the kernel make and take the header.
func TestPacket(t *testing.T) {
	l := newLAN(t)
	near, far := l.nearEnd.HardwareAddr, l.farEnd.HardwareAddr
	raw := packetSocket(t, l.near, unix.SOCK_RAW, l.nearEnd)
	cooked := packetSocket(t, l.far, unix.SOCK_DGRAM, l.farEnd)

	// Ethernet's shortest payload, so that no padding is added.
	question := slices.Repeat([]byte("question"), 6)
	header := slices.Concat(far, near, binary.BigEndian.AppendUint16(nil, experimental))
	conntest.Send(t, raw, datagram.ToNet(linkAddr(l.nearEnd, far), slices.Concat(header, question)))
	d := conntest.Expect(t, cooked, string(question))
	from, ok := d.NetAddr().(datagram.RawAddr)
	if !ok {
		t.Fatalf("received from %v", d.NetAddr())
	}
	const station = unsafe.Offsetof(unix.RawSockaddrLinklayer{}.Addr)
	if got := net.HardwareAddr(from.Sockaddr[station : station+6]); got.String() != near.String() {
		t.Errorf("received from %v, want %v", got, near)
	}
	if d.Addr.IsValid() {
		t.Errorf("the address %v is none of the Internet's", d.Addr)
	}

	answer := slices.Repeat([]byte("answer  "), 6)
	conntest.Send(t, cooked, d.Reply(answer))
	back := slices.Concat(near, far, binary.BigEndian.AppendUint16(nil, experimental))
	conntest.Expect(t, raw, string(slices.Concat(back, answer)))
	conntest.Send(t, cooked, datagram.ToNet(linkAddr(l.farEnd, near), answer))
	conntest.Expect(t, raw, string(slices.Concat(back, answer)))
	if n, err := cooked.TrySend(d.Reply(answer)); n != len(answer) || err != nil {
		t.Errorf("TrySend: %d, %v", n, err)
	}
	conntest.Expect(t, raw, string(slices.Concat(back, answer)))
}

func TestPacketErrors(t *testing.T) {
	l := newLAN(t)
	c := packetSocket(t, l.near, unix.SOCK_DGRAM, l.nearEnd)
	if err := c.SetTTL(3); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SetTTL: %v, want ErrUnsupported", err)
	}
	nowhere := &net.Interface{Index: 99_999}
	if err := conntest.Outcome(t, c, datagram.ToNet(linkAddr(nowhere, l.farEnd.HardwareAddr), []byte("x"))); !errors.Is(err, unix.ENXIO) {
		t.Errorf("to an interface that does not exist: %v, want ENXIO", err)
	}
	tooLong := datagram.RawAddr{Sockaddr: make([]byte, 1000)}
	if err := conntest.Outcome(t, c, datagram.ToNet(tooLong, []byte("x"))); !errors.Is(err, unix.EINVAL) {
		t.Errorf("to an address of 1000 bytes: %v, want EINVAL", err)
	}
	if err := conntest.Outcome(t, c, datagram.ToNet(datagram.RawAddr{}, []byte("x"))); err == nil {
		t.Error("sending to an empty address succeeded")
	}
	// The others are as good as before.
	conntest.Send(t, c, datagram.ToNet(linkAddr(l.nearEnd, l.farEnd.HardwareAddr), []byte("x")))
}

// An interface that goes down is an error of its packet sockets, after which they go on.
func TestPacketInterfaceDown(t *testing.T) {
	l := newLAN(t)
	file := newSocket(t, l.near, unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, file, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(experimental), Ifindex: l.nearEnd.Index})
	})
	failed := make(chan error, 1)
	c := conntest.Open(t, file, datagram.WithErrorHandler(func(err error) { failed <- err }))
	received := c.Recv()
	l.near.IP("link set %s down", l.nearEnd.Name)
	if err := await.Value(t, "an error", failed); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("%v, want ENETDOWN", err)
	}
	l.near.IP("link set %s up", l.nearEnd.Name)
	l.near.AwaitUp(l.nearEnd.Name)
	l.far.AwaitUp(l.farEnd.Name)
	far := packetSocket(t, l.far, unix.SOCK_DGRAM, l.farEnd)
	payload := slices.Repeat([]byte("x"), 46)
	conntest.Send(t, far, datagram.ToNet(linkAddr(l.farEnd, l.nearEnd.HardwareAddr), payload))
	conntest.Expect(t, c, string(payload))
	if c.Recv() != received || c.Stats().ReceiveErrors == 0 {
		t.Errorf("receiving did not go on: %v, %+v", c.Err(), c.Stats())
	}
}
