package datagram_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// inBubble gives test a server and a client on a network where nothing takes time.
func inBubble(t *testing.T, test func(t *testing.T, server, client *datagram.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		var conns [2]*datagram.Conn
		for i := range conns {
			c, err := network.Listen(background, "udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns[i] = c
		}
		test(t, conns[0], conns[1])
	})
}

// Replies leave when what was received together has been handled, not when the timer for slow handlers finds them.
func TestServeSendsRepliesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *datagram.Conn) {
		const count = 3
		for range count {
			mustSend(t, client, datagram.To(server.LocalAddr(), []byte("question")))
		}
		synctest.Wait()
		began := time.Now()
		go func() {
			_ = server.Serve(background, func(d datagram.Datagram) { _ = server.Send(background, d.Reply([]byte("answer"))) })
		}()
		for range count {
			<-client.Recv()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the replies left after %v", took)
		}
	})
}

// A context that ends after its session, while the handler still runs, ends no later one.
func TestContextOfAnEndedSession(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *datagram.Conn) {
		ctx, cancel := context.WithCancel(background)
		handling, release, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			result <- server.Serve(ctx, func(datagram.Datagram) { close(handling); <-release })
		}()
		mustSend(t, client, datagram.To(server.LocalAddr(), nil))
		<-handling
		if err := server.StopRecv(); err != nil {
			t.Fatal(err)
		}
		server.Recv()
		cancel()
		synctest.Wait()
		if !server.Active() {
			t.Errorf("receiving has ended: %v", server.Err())
		}
		close(release)
		expectError(t, "Serve", <-result, nil)
	})
}

// When its context ends Serve calls the handler no more, and what it had taken comes next.
func TestServeEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *datagram.Conn) {
		const count = 10
		for range count {
			mustSend(t, client, datagram.To(server.LocalAddr(), nil))
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(background)
		calls := 0
		err := server.Serve(ctx, func(datagram.Datagram) {
			calls++
			cancel()
		})
		if err != context.Canceled || calls != 1 {
			t.Errorf("%v after %d calls, want %v after 1", err, calls, context.Canceled)
		}
		for range count - 1 {
			<-server.Recv()
		}
	})
}
