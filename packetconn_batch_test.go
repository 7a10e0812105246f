package datagram_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// TestReadDatagrams reads batches smaller than what has arrived. Nothing is lost, and payloads stay valid.
func TestReadDatagrams(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		reader, sender := w.listen(t), w.listen(t)
		const sent = 20
		for i := range sent {
			conntest.TrySend(t, sender, datagram.To(reader.LocalAddr(), []byte{byte(i)}))
		}
		pc := reader.PacketConn()
		var got []datagram.Datagram
		for len(got) < sent {
			ds := make([]datagram.Datagram, 3)
			n, err := pc.ReadDatagrams(ds)
			if err != nil || n == 0 {
				t.Fatalf("read %d datagrams, %v", n, err)
			}
			got = append(got, ds[:n]...)
		}
		for i, d := range got {
			if string(d.Payload) != string([]byte{byte(i)}) || d.Addr != sender.LocalAddr() {
				t.Errorf("datagram %d: %v from %v", i, d.Payload, d.Addr)
			}
			d.Release()
		}
		if s := reader.Stats(); s.Delivered != sent || s.Held != 0 {
			t.Errorf("%d datagrams are delivered and %d held, want %d and 0", s.Delivered, s.Held, sent)
		}
	})
}

// TestReadDatagramsEnds makes reads fail. None of them loses a datagram.
func TestReadDatagramsEnds(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		reader, sender := w.listen(t), w.listen(t)
		pc := reader.PacketConn()
		if n, err := pc.ReadDatagrams(nil); n != 0 || err != nil {
			t.Errorf("without room: %d, %v", n, err)
		}
		ds := make([]datagram.Datagram, 2)
		failed := make(chan error, 1)
		wait := func() {
			go func() {
				_, err := pc.ReadDatagrams(ds)
				failed <- err
			}()
		}
		check := func(what string, want error) {
			t.Helper()
			if err := await.Value(t, "the read, "+what, failed); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		wait()
		if err := pc.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		check("past its deadline", os.ErrDeadlineExceeded)
		conntest.TrySend(t, sender, datagram.To(reader.LocalAddr(), []byte("kept")))
		wait()
		check("past its deadline, with a datagram", os.ErrDeadlineExceeded)
		if err := pc.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if n, err := pc.ReadDatagrams(ds); n != 1 || err != nil || string(ds[0].Payload) != "kept" {
			t.Errorf("read %d datagrams, %v, the first %q", n, err, ds[0].Payload)
		}
		wait()
		pc.Close()
		check("while Close", net.ErrClosed)
		wait()
		check("after Close", net.ErrClosed)
	})
}

// TestReadDatagramsOfPeers answers peers whose datagrams are read together. Each gets its answer from the
// address that it has sent to last.
func TestReadDatagramsOfPeers(t *testing.T) {
	needManyLoopbackAddresses(t)
	server := conntest.Listen(t, "udp4", "0.0.0.0:0")
	pc := server.PacketConn()
	asked := func(last byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, last}), server.LocalAddr().Port())
	}
	peers := []*datagram.Conn{conntest.Loopback(t), conntest.Loopback(t), conntest.Loopback(t)}
	sent := 0
	ask := func(peer int, last byte) {
		conntest.TrySend(t, peers[peer], datagram.To(asked(last), []byte("question")))
		sent++
	}
	for range 8 { // a busy socket returns more at a time
		ask(0, 2)
	}
	ask(1, 2)
	ask(2, 2)
	ask(2, 3)
	for got := 0; got < sent; {
		ds := make([]datagram.Datagram, sent)
		n, err := pc.ReadDatagrams(ds)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds[:n] {
			d.Release()
		}
		got += n
	}
	for peer, last := range []byte{2, 2, 3} {
		if _, err := pc.WriteToUDPAddrPort([]byte("answer"), peers[peer].LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if d := conntest.Expect(t, peers[peer], "answer"); d.Addr != asked(last) {
			t.Errorf("the answer to peer %d is from %v, want %v", peer, d.Addr, asked(last))
		}
	}
}

// What is written between reads of datagrams that were received together leaves with what is written after the last of
// these. If nothing is, it leaves when a reader waits, when receiving is stopped, or after a moment.
func TestWritesLeaveTogether(t *testing.T) {
	type exchange struct {
		*datagram.PacketConn
		server *datagram.Conn
		client *datagram.Conn
	}
	// received returns how many datagrams the client gets before time passes.
	received := func(x exchange) (n int) {
		synctest.Wait()
		for {
			select {
			case d := <-x.client.Recv():
				d.Release()
				n++
			default:
				return n
			}
		}
	}
	read := func(t *testing.T, x exchange) {
		t.Helper()
		if _, err := x.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, x exchange) {
		t.Helper()
		if _, err := x.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(x.client.LocalAddr())); err != nil {
			t.Fatal(err)
		}
		if _, err := x.client.TrySend(datagram.To(x.server.LocalAddr(), nil)); err != nil {
			t.Fatal(err) // it begins another batch
		}
	}
	for name, test := range map[string]struct {
		end  func(t *testing.T, x exchange)
		want int
	}{
		"the last is read and answered": {func(t *testing.T, x exchange) { read(t, x); write(t, x) }, 3},
		"a reader waits": {func(t *testing.T, x exchange) {
			read(t, x)
			go func() { // of the other batch
				for {
					if _, err := x.Read(make([]byte, 1)); err != nil {
						return
					}
				}
			}()
		}, 2},
		"receiving is stopped": {func(_ *testing.T, x exchange) { x.server.StopRecv() }, 2},
		"nobody reads on":      {func(*testing.T, exchange) { time.Sleep(2 * time.Millisecond) }, 2},
		"the last is not answered": {func(t *testing.T, x exchange) {
			read(t, x)
			time.Sleep(2 * time.Millisecond)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := datagramtest.NewNetwork(1, datagramtest.Link{})
				defer network.Close()
				x := exchange{server: conntest.Listen(t, "udp", "10.0.0.1:7", network.Option())}
				x.client = conntest.Listen(t, "udp", "10.0.0.2:7", network.Option())
				x.PacketConn = x.server.PacketConn()
				x.client.Recv()
				defer x.server.Close()
				defer x.client.Close()
				if batch := x.server.Capabilities().Batch; !batch.Active {
					t.Skip("nothing is received together: ", batch.Reason)
				}
				conntest.TrySend(t, x.client, datagram.To(x.server.LocalAddr(), nil)) // alone
				read(t, x)
				for range 3 {
					conntest.TrySend(t, x.client, datagram.To(x.server.LocalAddr(), nil))
				}
				for range 2 {
					read(t, x)
					write(t, x)
				}
				if n := received(x); n != 0 {
					t.Errorf("%d left at once", n)
				}
				test.end(t, x)
				if n := received(x); n != test.want {
					t.Errorf("%d have left, want %d", n, test.want)
				}
			})
		})
	}
}
