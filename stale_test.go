package datagram_test

import (
	"testing"
	"time"

	"example.com/datagram"
)

// timeStamps waits until the system stamps datagrams when they arrive, and has it go on so
// until the end of the test. Linux begins to some time after the first socket of
// the host has asked for it; until then it stamps them when they are read.
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
