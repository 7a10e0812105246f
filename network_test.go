package datagram_test

import (
	"fmt"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// On the portable path handles do what they do elsewhere: nothing is lost, order is kept, each
// datagram completes, and the books add up.
func TestPortablePath(t *testing.T) {
	server, client := conntest.Loopback(t, conntest.Portable()), conntest.Loopback(t, conntest.Portable())
	for name, f := range map[string]datagram.Feature{
		"batch": server.Capabilities().Batch, "GSO": server.Capabilities().GSO, "GRO": server.Capabilities().GRO,
	} {
		if f.Active || f.Reason == "" {
			t.Errorf("%s %v, want off, with a reason", name, f)
		}
	}
	served := await.Go(func() {
		for d := range server.Recv() {
			if err := server.Send(background, d.Reply(d.Payload)); err != nil {
				t.Error(err)
			}
			d.Release()
		}
	})
	const total = 1000
	answers := client.Recv()
	for i := range total { // one at a time, so that no buffer overflows
		completed := make(chan error, 2)
		err := client.SendFunc(background, datagram.To(server.LocalAddr(), fmt.Append(nil, i)), func(err error) { completed <- err })
		conntest.ExpectError(t, "SendFunc", err, nil)
		conntest.ExpectError(t, "done", await.Value(t, "done", completed), nil)
		if got, want := conntest.Text(t, answers), fmt.Sprint(i); got != want {
			t.Fatalf("answer %q, want %q", got, want)
		}
	}
	for i := range 10 {
		if _, err := client.TrySend(datagram.To(server.LocalAddr(), fmt.Append(nil, i))); err != nil {
			t.Fatal(err)
		}
		if got, want := conntest.Text(t, answers), fmt.Sprint(i); got != want {
			t.Fatalf("answer %q, want %q", got, want)
		}
	}
	conntest.ExpectError(t, "Flush", server.Flush(background), nil)
	for _, c := range []*datagram.Conn{server, client} {
		s := c.Stats()
		conntest.CheckLedger(t, s)
		if s.Sent != total+10 || s.Delivered != total+10 || s.SendCalls != s.Sent || s.ReceiveCalls != s.Received {
			t.Errorf("%+v, want %d of each, each by a call of its own", s, total+10)
		}
	}
	conntest.ExpectError(t, "Close", server.Close(), nil)
	await.Signal(t, "the end of the channel", served)
	await.Closed(t, "Done", server.Done())
}
