package socket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
)

// forEach runs a test of opened descriptors on both implementations.
func forEach(t *testing.T, test func(t *testing.T, config socket.Config)) {
	for _, i := range []implementation{implementations[0], implementations[len(implementations)-1]} {
		t.Run(i.name, func(t *testing.T) { test(t, i.config) })
	}
}

// open makes a Socket of a descriptor, which it closes.
func open(t *testing.T, fd int, config socket.Config) socket.Socket {
	t.Helper()
	f := os.NewFile(uintptr(fd), "test")
	defer f.Close()
	s, err := socket.Kernel{}.Open(f, config)
	if err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(20*time.Second, s.Interrupt)
	t.Cleanup(func() { watchdog.Stop(); _ = s.Close() })
	return s
}

func newFD(t *testing.T, family, kind, protocol int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Skip(os.NewSyscallError("socket", err))
	}
	return fd
}

func send(t *testing.T, s socket.Socket, d socket.Outgoing) {
	t.Helper()
	if n, err := s.Send([]socket.Outgoing{d}, true); n != 1 || err != nil {
		t.Fatalf("send: %d, %v", n, err)
	}
}

// receive calls Receive once, which must bring one message.
func receive(t *testing.T, s socket.Socket, b *socket.Batch) socket.Incoming {
	t.Helper()
	if err := s.Receive(b); err != nil {
		t.Fatal(err)
	}
	if len(b.Messages) != 1 {
		t.Fatalf("%d messages", len(b.Messages))
	}
	return b.Messages[0]
}

func TestOpenUDP(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		f, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := socket.Kernel{}.Open(f, config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		if info := s.Info(); info.Local != local || !info.UDP || info.Family != socket.IPv4 {
			t.Errorf("%+v", info)
		}
		send(t, s, socket.Outgoing{Addr: local, Payload: []byte("to myself")})
		var batch socket.Batch
		defer batch.Free()
		if m := receive(t, s, &batch); string(m.Payload) != "to myself" || m.Addr != local {
			t.Errorf("%q from %v", m.Payload, m.Addr)
		}
		_ = s.Close()
		if _, err := conn.WriteToUDPAddrPort(nil, local); err != nil {
			t.Errorf("the file is the caller's: %v", err)
		}
	})
}

// TestOpenConnected dissolves an association whose port the system chose.
func TestOpenConnected(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		fd := newFD(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); err != nil {
			t.Fatal(err)
		}
		s := open(t, fd, config)
		before := s.Info()
		if before.Remote != netip.MustParseAddrPort("127.0.0.1:9") {
			t.Errorf("%+v", before)
		}
		if err := s.Connect(netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
		if info := s.Info(); info.Remote.IsValid() || info.Local.Port() != before.Local.Port() {
			t.Errorf("%+v, before %+v", info, before)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer end.Close()
	if s, err := (socket.Kernel{}).Open(pipe, socket.Config{}); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("a pipe: %v, %v", s, err)
	}
	stream := os.NewFile(uintptr(newFD(t, unix.AF_INET, unix.SOCK_STREAM, 0)), "stream")
	if s, err := (socket.Kernel{}).Open(stream, socket.Config{}); !errors.Is(err, unix.EPROTOTYPE) {
		t.Errorf("a stream: %v, %v", s, err)
	}
	stream.Close()
	if s, err := (socket.Kernel{}).Open(stream, socket.Config{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed file: %v, %v", s, err)
	}
}

// TestNetlink asks for the list of interfaces.
func TestNetlink(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		s := open(t, newFD(t, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), config)
		request := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(request, uint32(len(request)))
		binary.NativeEndian.PutUint16(request[4:], unix.RTM_GETLINK)
		binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		send(t, s, socket.Outgoing{Payload: request})
		var batch socket.Batch
		defer batch.Free()
		links := 0
		for {
			if err := s.Receive(&batch); err != nil {
				t.Fatal(err)
			}
			for _, m := range batch.Messages {
				if m.Truncated {
					t.Error("truncated")
				}
				for b := m.Payload; len(b) >= unix.SizeofNlMsghdr; {
					size, kind := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:])
					switch kind {
					case unix.RTM_NEWLINK:
						links++
					case unix.NLMSG_DONE:
						if interfaces, err := net.Interfaces(); err == nil && links != len(interfaces) {
							t.Errorf("%d links, %d interfaces", links, len(interfaces))
						}
						return
					default:
						t.Fatalf("message of type %d", kind)
					}
					b = b[min((int(size)+3)&^3, len(b)):]
				}
			}
		}
	})
}

// TestPacket sends a frame over the loopback interface and sees it arrive.
func TestPacket(t *testing.T) {
	const protocol = 0x88b5 // for local experiments (IEEE 802)
	bigEndian := func(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	fd := newFD(t, unix.AF_PACKET, unix.SOCK_DGRAM, int(bigEndian(protocol)))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	s := open(t, fd, implementations[0].config)
	// struct sockaddr_ll: family, protocol, interface, hardware type, packet type, address length, address
	name := make([]byte, unix.SizeofSockaddrLinklayer)
	binary.NativeEndian.PutUint16(name, unix.AF_PACKET)
	binary.BigEndian.PutUint16(name[2:], protocol)
	binary.NativeEndian.PutUint32(name[4:], uint32(lo.Index))
	name[11] = 6
	send(t, s, socket.Outgoing{Payload: []byte("frame"), Name: &socket.Name{Addr: socket.RawAddr{Sockaddr: name}}})
	var batch socket.Batch
	defer batch.Free()
	m := receive(t, s, &batch)
	if m.Name == nil || !bytes.HasPrefix(m.Payload, []byte("frame")) {
		t.Fatalf("%q from %v", m.Payload, m.Name)
	}
	addr, ok := m.Name.Addr.(socket.RawAddr)
	if !ok || !bytes.Equal(addr.Sockaddr[:8], name[:8]) {
		t.Errorf("from %v, want %x…", m.Name, name[:8])
	}
}

// TestPing asks the kernel for an ICMP echo, with a raw socket and with one for pings.
func TestPing(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		for _, kind := range []int{unix.SOCK_RAW, unix.SOCK_DGRAM} {
			fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
			if err != nil {
				t.Logf("type %d: %v", kind, err) // net.ipv4.ping_group_range
				continue
			}
			s := open(t, fd, config)
			if info := s.Info(); info.UDP || info.Network != "ip" || info.Family != socket.IPv4 {
				t.Errorf("%+v", info)
			}
			data := binary.BigEndian.AppendUint64(nil, rand.Uint64()) // a raw socket hears what others get too
			echo := append([]byte{8, 0, 0, 0, 0x12, 0x34, 0, 1}, data...)
			binary.BigEndian.PutUint16(echo[2:], checksum(echo))
			self := netip.MustParseAddrPort("127.0.0.1:0")
			send(t, s, socket.Outgoing{Addr: self, Payload: echo})
			var batch socket.Batch
			defer batch.Free()
			for answered := false; !answered; {
				if err := s.Receive(&batch); err != nil {
					t.Fatal(err)
				}
				for _, m := range batch.Messages {
					answer := m.Payload
					if kind == unix.SOCK_RAW {
						answer = answer[20:] // the IP header
					}
					if answer[0] != 0 || !bytes.Equal(answer[8:], data) {
						continue
					}
					if answered = true; m.Addr.Addr() != self.Addr() {
						t.Errorf("from %v, want %v", m.Addr, self)
					}
				}
			}
		}
	})
}

// checksum returns the checksum of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
