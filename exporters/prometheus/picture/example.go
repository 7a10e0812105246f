package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"example.com/datagram"
	"example.com/datagram/exporters/prometheus"
	"example.com/datagram/session"
)

// An example is what the picture shows: an echo server and a chat whose load comes in waves, more than either can take.
type example struct {
	echo, client, chat *datagram.Conn
	sessions           *session.Listener
	begin              time.Time
	wave               time.Duration // from one time without load to the next
}

const (
	peak     = 12_000 // datagrams a second that the client sends
	users    = 60     // of the chat, at most
	sessions = 48     // that the chat allows
)

// run runs the example while observe does, which gets what it exports.
func run(wave time.Duration, observe func(*prometheus.Collector) error) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	x := &example{begin: time.Now(), wave: wave}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	closeLater := func(c *datagram.Conn) { context.AfterFunc(ctx, func() { c.Close() }) }

	if x.echo, err = datagram.Listen(ctx, "udp", "127.0.0.1:0", datagram.WithReadBuffer(1<<17)); err != nil {
		return err
	}
	closeLater(x.echo)
	// Without segmentation, so that the kernel counts each datagram that it drops.
	x.client, err = datagram.Dial(ctx, "udp", x.echo.LocalAddr().String(),
		datagram.WithOffload(datagram.OffloadBatch), datagram.WithRecvQueue(256, datagram.DropOldest))
	if err != nil {
		return err
	}
	closeLater(x.client)
	if x.chat, err = datagram.Listen(ctx, "udp", "127.0.0.1:0"); err != nil {
		return err
	}
	closeLater(x.chat)
	x.sessions, err = session.Listen(session.Config{IdleTimeout: 4 * time.Second, MaxSessions: sessions, Queue: 16}, x.chat)
	if err != nil {
		return err
	}

	collector := prometheus.NewCollector()
	err = errors.Join(collector.Add("echo", x.echo), collector.Add("client", x.client), collector.Add("chat", x.chat),
		collector.AddListener("chat", x.sessions))
	if err != nil {
		return err
	}
	running.Go(func() { x.answer(ctx) })
	running.Go(func() { x.ask(ctx) })
	running.Go(x.read)
	running.Go(func() { x.accept(&running) })
	running.Go(func() { x.meet(ctx, &running) })
	return observe(collector)
}

// load is between 0 and 1.
func (x *example) load() float64 {
	return (1 - math.Cos(2*math.Pi*float64(time.Since(x.begin))/float64(x.wave))) / 2
}

// answer echoes up to 8,000 datagrams a second.
func (x *example) answer(ctx context.Context) {
	n := 0
	_ = x.echo.Serve(ctx, func(d datagram.Datagram) { // until it is closed
		if n++; n%16 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
		_ = x.echo.TryQueue(d.Reply(d.Payload))
		d.Release()
	})
}

// ask sends more at the peak of each wave.
func (x *example) ask(ctx context.Context) {
	const pause = 5 * time.Millisecond
	payload := make([]byte, 512)
	every(ctx, pause, func() {
		for range int(peak * pause.Seconds() * x.load()) {
			_ = x.client.Send(ctx, datagram.Datagram{Payload: payload})
		}
	})
}

// read takes up to 5,000 answers a second.
func (x *example) read() {
	n := 0
	for d := range x.client.Recv() {
		if n++; n%16 == 0 {
			time.Sleep(3 * time.Millisecond)
		}
		d.Release()
	}
}

// accept serves the users of the chat.
func (x *example) accept(running *sync.WaitGroup) {
	for n := 0; ; n++ {
		c, err := x.sessions.Accept()
		if err != nil {
			return
		}
		slow := n%8 == 0
		running.Go(func() {
			defer c.Close()
			said := make([]byte, 128)
			for {
				n, err := c.Read(said)
				if err != nil || string(said[:n]) == "bye" {
					return
				}
				if slow {
					time.Sleep(100 * time.Millisecond)
				}
				_, _ = c.Write(said[:n])
			}
		})
	}
}

// meet lets users come and go.
func (x *example) meet(ctx context.Context, running *sync.WaitGroup) {
	present := make(chan struct{}, users)
	every(ctx, 100*time.Millisecond, func() {
		for len(present) < int(10+(users-10)*x.load()) {
			present <- struct{}{}
			running.Go(func() {
				x.talk(ctx)
				<-present
			})
		}
	})
}

// talk is a user of the chat, who leaves after some seconds with or without a word.
func (x *example) talk(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second+rand.N(8*time.Second))
	defer cancel()
	c, err := net.Dial("udp", x.chat.LocalAddr().String())
	if err != nil {
		return
	}
	defer c.Close()
	every(ctx, 25*time.Millisecond, func() { _, _ = c.Write([]byte("hello")) })
	if rand.IntN(2) == 0 {
		_, _ = c.Write([]byte("bye"))
	}
}

func every(ctx context.Context, d time.Duration, do func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}
