package command_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// send sends n datagrams that one system call receives together, as far as the system can.
func send(t *testing.T, to *datagram.Conn, n int) {
	t.Helper()
	peer := conntest.Dial(t, to)
	for i := range n {
		if err := peer.Send(t.Context(), datagram.Datagram{Payload: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := peer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A context that ends before or while something is received ends receiving.
func TestEnd(t *testing.T) {
	ways := map[string]func(ctx context.Context, conn *datagram.Conn, handle func(datagram.Datagram)) error{
		"Serve": command.Serve,
		"Recv": func(ctx context.Context, conn *datagram.Conn, handle func(datagram.Datagram)) error {
			for d := range command.Recv(ctx, conn) {
				handle(d)
			}
			return conn.Err()
		},
	}
	for name, receive := range ways {
		t.Run(name+" before", func(t *testing.T) {
			conn := conntest.Loopback(t)
			await.Return(t, "receiving", func() {
				if err := receive(conntest.EndedContext(t), conn, datagram.Datagram.Release); err != nil {
					t.Error(err)
				}
			})
		})
		t.Run(name+" while", func(t *testing.T) {
			conn := conntest.Loopback(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			send(t, conn, 10)
			var handled []byte
			await.Return(t, "receiving", func() {
				err := receive(ctx, conn, func(d datagram.Datagram) {
					handled = append(handled, d.Payload...)
					d.Release()
					cancel()
				})
				if err != nil {
					t.Error(err)
				}
			})
			stats := conn.Stats()
			if int(stats.Received) != len(handled) || stats.Held != 0 {
				t.Errorf("handled %v of\n%v", handled, stats)
			}
			for i, got := range handled {
				if int(got) != i {
					t.Errorf("handled %v", handled)
				}
			}
		})
		t.Run(name+" closed", func(t *testing.T) {
			conn := conntest.Loopback(t)
			conn.Close()
			if err := receive(t.Context(), conn, datagram.Datagram.Release); err == nil {
				t.Error("no error for a closed handle")
			}
		})
	}
}
