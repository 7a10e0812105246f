package datagram_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// timeStamps waits until the system stamps datagrams when they arrive, and has
// it go on so until the end of the test. Linux begins to some time after the
// first socket of the host has asked for it; until then it stamps them when
// they are read.
func timeStamps(t *testing.T) {
	t.Helper()
	c := loopback(t, datagram.WithMetadata(datagram.MetaTime))
	s := plainSocket(t, c)
	eventually(t, "time stamps", func() bool {
		const pause = 5 * time.Millisecond
		c.StopRecv()
		writeNumbers(t, s, 0, 1)
		time.Sleep(pause)
		d := await(t, "a datagram", c.Recv())
		return time.Since(d.Meta.Time) >= pause
	})
}

// What has waited for too long is dropped and counted, what has not is delivered.
func TestMaxAge(t *testing.T) {
	const limit = 50 * time.Millisecond
	timeStamps(t)
	for name, start := range map[string]func(*datagram.Conn, chan<- string){
		"Recv": func(c *datagram.Conn, received chan<- string) {
			ch := c.Recv()
			go func() {
				for d := range ch {
					received <- string(d.Payload)
				}
			}()
		},
		"Serve": func(c *datagram.Conn, received chan<- string) { serving(background, c, noting(received)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := loopback(t, datagram.WithMaxAge(limit))
			s := plainSocket(t, c)
			writeNumbers(t, s, 0, 10)
			time.Sleep(2 * limit) // that is what it is about
			received := make(chan string, 1000)
			start(c, received)
			// A slow machine may let a fresh one become stale as well: then another counts.
			for {
				if _, err := s.Write([]byte("fresh")); err != nil {
					t.Fatal(err)
				}
				select {
				case got := <-received:
					if stats := c.Stats(); got != "fresh" || stats.StaleDrops < 10 {
						t.Errorf("received %q, StaleDrops is %d, want a fresh one and 10", got, stats.StaleDrops)
					}
					return
				case <-time.After(limit):
				}
			}
		})
	}
}

// What becomes too old while it waits for room in the channel does not go into it.
func TestMaxAgeWhileTheChannelIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		c, err := network.Listen(background, "udp4", "127.0.0.1:0",
			datagram.WithMaxAge(time.Second), datagram.WithRecvQueue(2, datagram.Block))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ch := c.Recv()
		for range 6 {
			mustSend(t, c, datagram.To(c.LocalAddr(), []byte("old")))
		}
		time.Sleep(3 * time.Second)
		mustSend(t, c, datagram.To(c.LocalAddr(), []byte("fresh")))
		for _, want := range []string{"old", "old", "fresh"} { // two were in the channel
			if d := <-ch; string(d.Payload) != want {
				t.Errorf("received %q, want %q", d.Payload, want)
			}
		}
		if n := c.Stats().StaleDrops; n != 4 {
			t.Errorf("StaleDrops is %d, want 4", n)
		}
	})
}
