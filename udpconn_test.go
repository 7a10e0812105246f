package datagram_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func TestUDPConnExchanges(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		a, b := w.listen(t).UDPConn(), w.listen(t).UDPConn()
		to, from := b.LocalAddr().(*net.UDPAddr), a.LocalAddr().String()
		p := make([]byte, 10)
		check := func(method, want string, n int, sender net.Addr, err error) {
			t.Helper()
			if err != nil || string(p[:n]) != want || sender.String() != from {
				t.Errorf("%s: %q from %v, %v; want %q from %v", method, p[:n], sender, err, want, from)
			}
		}
		if n, err := a.WriteToUDP([]byte("one"), to); n != 3 || err != nil {
			t.Errorf("WriteToUDP: %d, %v", n, err)
		}
		n, sender, err := b.ReadFromUDP(p)
		check("ReadFromUDP", "one", n, sender, err)

		if n, oobn, err := a.WriteMsgUDP([]byte("two"), nil, to); n != 3 || oobn != 0 || err != nil {
			t.Errorf("WriteMsgUDP: %d, %d, %v", n, oobn, err)
		}
		n, oobn, flags, sender, err := b.ReadMsgUDP(p, nil)
		check("ReadMsgUDP", "two", n, sender, err)
		if oobn != 0 || flags != 0 {
			t.Errorf("ReadMsgUDP without room for control messages: %d, flags %#x", oobn, flags)
		}
		if n, oobn, err := a.WriteMsgUDPAddrPort([]byte("three"), nil, to.AddrPort()); n != 5 || oobn != 0 || err != nil {
			t.Errorf("WriteMsgUDPAddrPort: %d, %d, %v", n, oobn, err)
		}
		n, _, _, addr, err := b.ReadMsgUDPAddrPort(p, nil)
		check("ReadMsgUDPAddrPort", "three", n, net.UDPAddrFromAddrPort(addr), err)

		b.SetReadDeadline(time.Unix(1, 0))
		n, sender, err = b.ReadFromUDP(p)
		if expectTimeout(t, "ReadFromUDP", err); n != 0 || sender != nil {
			t.Errorf("ReadFromUDP: %d from %v, %v", n, sender, err)
		}
		_, _, _, sender, err = b.ReadMsgUDP(p, nil)
		if expectTimeout(t, "ReadMsgUDP", err); sender != nil {
			t.Errorf("ReadMsgUDP: from %v, %v", sender, err)
		}
	})
}

func TestWriteMsgOfConnected(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		server, c := w.listen(t), w.listen(t)
		if err := c.Connect(server.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.UDPConn().WriteMsgUDP([]byte("x"), nil, nil); err != nil {
			t.Errorf("to the peer: %v", err)
		}
		read(t, server.UDPConn(), "x")
		_, _, err := c.UDPConn().WriteMsgUDP(nil, nil, server.UDPConn().LocalAddr().(*net.UDPAddr))
		conntest.CheckErrno(t, err, net.ErrWriteToConnected)
	})
}

// A batch ends with what is there; the first datagram is waited for.
func TestReadBatch(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t)
		u := c.UDPConn()
		const n = 20
		var sent []datagram.Datagram
		for i := range n {
			sent = append(sent, datagram.To(c.LocalAddr(), []byte(fmt.Sprintf("number %02d", i))))
		}
		ms := make([]ipv4.Message, 8)
		for i := range ms {
			ms[i].Buffers = [][]byte{make([]byte, 3), nil, make([]byte, 20)}
		}
		read := make(chan error, 1)
		go func() {
			for next := 0; next < n; {
				got, err := u.ReadBatch(ms, 0)
				if err != nil || got < 1 || got > len(ms) {
					read <- fmt.Errorf("ReadBatch: %d, %w", got, err)
					return
				}
				for _, m := range ms[:got] {
					text := string(m.Buffers[0]) + string(m.Buffers[2][:m.N-3])
					if want := string(sent[next].Payload); text != want || m.Addr.String() != sender.LocalAddr().String() || m.NN != 0 || m.Flags != 0 {
						read <- fmt.Errorf("message %d: %q, want %q: %+v", next, text, want, m)
						return
					}
					next++
				}
			}
			read <- nil
		}()
		if _, err := sender.SendBatch(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		if err := await.Value(t, "all datagrams", read); err != nil {
			t.Fatal(err)
		}
		if got, err := u.ReadBatch(nil, 0); got != 0 || err != nil {
			t.Errorf("no messages: %d, %v", got, err)
		}
		conntest.CheckErrno(t, conntest.Err(u.ReadBatch(ms, 0x2)), errors.ErrUnsupported) // MSG_PEEK
		u.SetReadDeadline(time.Unix(1, 0))
		expectTimeout(t, "ReadBatch", conntest.Err(u.ReadBatch(ms, 0)))
	})
}

// Payloads of a batch may be of any size, and each is truncated for itself.
func TestReadBatchTruncates(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t)
		u, to := c.UDPConn(), c.UDPConn().LocalAddr()
		for _, size := range []int{0, 5, 6} {
			write(t, sender.PacketConn(), string(bytes.Repeat([]byte("x"), size)), to)
		}
		ms := []ipv4.Message{{Buffers: [][]byte{make([]byte, 2), make([]byte, 3)}}}
		for _, want := range []struct {
			n         int
			truncated bool
		}{{0, false}, {5, false}, {5, true}} {
			got, err := u.ReadBatch(ms, 0)
			if got != 1 || err != nil || ms[0].N != want.n || (ms[0].Flags != 0) != want.truncated {
				t.Errorf("%d, %v: %d bytes, flags %#x; want %d bytes, truncated %v", got, err, ms[0].N, ms[0].Flags, want.n, want.truncated)
			}
		}
	})
}
