package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

// A server receives on several addresses, for echo and sink.
type server struct {
	out      *output
	network  string
	deadline time.Duration
	conns    []*datagram.Conn
}

func (s *server) flags(cmd *cobra.Command) {
	networkFlag(cmd, &s.network)
	cmd.Flags().DurationVar(&s.deadline, "deadline", 5*time.Second, "how long sending what is queued may take at the end")
}

// run calls handle with each datagram, one at a time for each address, until ctx ends. Then it sends what
// handle has queued.
func (s *server) run(ctx context.Context, addresses []string, handle func(*datagram.Conn, datagram.Datagram)) error {
	for _, address := range addresses {
		conn, err := listen(ctx, s.network, address, datagram.WithErrorHandler(s.out.warn))
		if err != nil {
			return err
		}
		defer conn.Close()
		s.conns = append(s.conns, conn)
		s.out.say("listening", listening{Address: conn.LocalAddr().String()})
	}

	received, sent := newMeter(), newMeter()
	begin := time.Now()
	stop := s.out.watch(func() view { return s.traffic(begin, received, sent) })
	group, serving := errgroup.WithContext(ctx) // one that fails stops the others
	for _, conn := range s.conns {
		group.Go(func() error {
			return conn.Serve(serving, func(d datagram.Datagram) {
				handle(conn, d)
				d.Release()
			})
		})
	}
	err := group.Wait()
	stop()
	if errors.Is(err, context.Canceled) {
		err = nil
	}

	expiring, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.deadline)
	defer cancel()
	for _, conn := range s.conns {
		local := conn.LocalAddr()
		if late := conn.Shutdown(expiring); late != nil {
			err = errors.Join(err, fmt.Errorf("stopping %v: %w", local, late))
		}
	}
	s.out.say("summary", s.traffic(begin, received, sent))
	return err
}

// traffic is what a server has received and sent.
type traffic struct {
	Elapsed      time.Duration `json:"elapsed_ns"`
	Received     uint64        `json:"received"`
	ReceivedRate float64       `json:"received_per_second"`
	Bytes        uint64        `json:"received_bytes"`
	Sent         uint64        `json:"sent"`
	SentRate     float64       `json:"sent_per_second"`
	Failed       uint64        `json:"failed"`
	Lost         uint64        `json:"lost"` // since a receive buffer was full
}

func (s *server) traffic(begin time.Time, received, sent *meter) traffic {
	t := traffic{Elapsed: time.Since(begin)}
	for _, conn := range s.conns {
		stats := conn.Stats()
		t.Received += stats.Delivered
		t.Bytes += stats.ReceivedBytes
		t.Sent += stats.Sent
		t.Failed += stats.SendErrors
		t.Lost += stats.KernelDrops
	}
	t.ReceivedRate, t.SentRate = received.rate(t.Received), sent.rate(t.Sent)
	return t
}

func (t traffic) String() string {
	return fmt.Sprintf("received %d, sent %d, failed %d, lost %d", t.Received, t.Sent, t.Failed, t.Lost)
}

func (t traffic) line() string {
	return fmt.Sprintf("received %s, sent %s; %v", perSecond(t.ReceivedRate), perSecond(t.SentRate), t)
}

func (t traffic) lines() []string {
	return []string{
		"",
		fmt.Sprintf("  received %14d  %10s", t.Received, perSecond(t.ReceivedRate)),
		fmt.Sprintf("  sent     %14d  %10s", t.Sent, perSecond(t.SentRate)),
		fmt.Sprintf("  failed   %14d", t.Failed),
		fmt.Sprintf("  lost     %14d  since a receive buffer was full", t.Lost),
	}
}
