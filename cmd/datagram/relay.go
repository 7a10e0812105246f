package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"example.com/datagram"
	"example.com/datagram/session"
)

func newRelay(out *output) *cobra.Command {
	r := relay{out: out}
	cmd := &cobra.Command{
		Use:   "relay ADDRESS HOST:PORT",
		Short: "Pass on datagrams between clients and a server",
		Long: `Pass on what comes to an address to a server, and its answers to the clients. Each
client has a session, and with it a port of its own towards the server.`,
		Example: `  datagram relay :53 192.0.2.1:53
  datagram relay --idle 30s --sessions 1000 :7777 server.example:7777`,
		Args: wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0], args[1]) },
	}
	networkFlag(cmd, &r.network)
	cmd.Flags().DurationVar(&r.idle, "idle", 2*time.Minute, "`time` without datagrams after which a session ends")
	cmd.Flags().IntVar(&r.sessions, "sessions", 10_000, "how many `clients` may have a session; further ones are refused")
	cmd.Flags().DurationVar(&r.deadline, "deadline", 5*time.Second, "how long sending what is queued may take at the end")
	return cmd
}

// sessionQueue is how many datagrams of a client wait until they are passed on. Bursts are longer than the
// default.
const sessionQueue = 1024

// relay holds the flags of the command, and its state.
type relay struct {
	out            *output
	network        string
	idle, deadline time.Duration
	sessions       int

	server                     netip.AddrPort
	conn                       *datagram.Conn
	listener                   *session.Listener
	toServer, toClient, failed atomic.Uint64 // datagrams
	serverMeter, clientMeter   *meter
}

func (r *relay) run(ctx context.Context, address, server string) (err error) {
	if err := errors.Join(inRange("idle", r.idle, time.Millisecond, 24*time.Hour), inRange("sessions", r.sessions, 1, 1<<20)); err != nil {
		return err
	}
	if r.server, err = resolve(ctx, r.network, server); err != nil {
		return err
	}
	r.conn, err = listen(ctx, r.network, address, datagram.WithErrorHandler(r.out.warn))
	if err != nil {
		return err
	}
	defer r.conn.Close()
	r.listener, err = session.Listen(session.Config{IdleTimeout: r.idle, MaxSessions: r.sessions, Queue: sessionQueue}, r.conn)
	if err != nil {
		return err
	}
	r.serverMeter, r.clientMeter = newMeter(), newMeter()
	r.out.say("listening", listening{Address: r.conn.LocalAddr().String()})
	stop := r.out.watch(func() view { return r.progress() })

	// After StopRecv, what was received can be read to its end.
	context.AfterFunc(ctx, func() { _ = r.conn.StopRecv() })
	var relaying sync.WaitGroup
	var client *session.Conn
	for {
		if client, err = r.listener.AcceptContext(context.WithoutCancel(ctx)); err != nil {
			break
		}
		relaying.Go(func() { r.serve(client) })
	}
	if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
		err = nil
	}
	relaying.Wait()

	expiring, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.deadline)
	defer cancel()
	err = errors.Join(err, r.listener.Shutdown(expiring), r.conn.Shutdown(expiring))
	stop()
	r.out.say("summary", r.progress())
	return err
}

// serve passes on the datagrams of one client until its session ends.
func (r *relay) serve(client *session.Conn) {
	defer client.Close()
	server, err := datagram.New(datagram.WithErrorHandler(r.out.warn))
	if err != nil {
		r.out.warn(err)
		return
	}
	defer server.Close()
	if err := server.Connect(r.server); err != nil {
		r.out.warn(err)
		return
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_ = server.Serve(context.Background(), func(d datagram.Datagram) { // until Close
			_, err := client.Write(d.Payload)
			r.count(&r.toClient, err)
			d.Release()
		})
	}()
	for {
		d, err := client.Receive(context.Background())
		if err != nil {
			break // idle, or the relay ends
		}
		r.count(&r.toServer, server.Send(context.Background(), datagram.Datagram{Payload: d.Payload}))
		d.Release()
	}
	expiring, cancel := context.WithTimeout(context.Background(), r.deadline)
	defer cancel()
	if err := server.Shutdown(expiring); err != nil {
		r.out.warn(err)
	}
	<-answers
}

func (r *relay) count(counter *atomic.Uint64, err error) {
	if err != nil {
		counter = &r.failed
	}
	counter.Add(1)
}

// relayResult is what a relay has passed on.
type relayResult struct {
	Sessions     uint64  `json:"sessions"`
	Opened       uint64  `json:"opened"`
	Refused      uint64  `json:"refused"` // datagrams of clients without a session
	ToServer     uint64  `json:"to_server"`
	ToServerRate float64 `json:"to_server_per_second"`
	ToClient     uint64  `json:"to_clients"`
	ToClientRate float64 `json:"to_clients_per_second"`
	Failed       uint64  `json:"failed"`
	Lost         uint64  `json:"lost"` // since the receive buffer was full, or a session's queue
}

func (r *relay) progress() relayResult {
	s := r.listener.Stats()
	p := relayResult{
		Sessions: s.Sessions, Opened: s.Opened, Refused: s.RefusedBacklog + s.RefusedMax,
		ToServer: r.toServer.Load(), ToClient: r.toClient.Load(), Failed: r.failed.Load(),
		Lost: s.Dropped + r.conn.Stats().KernelDrops,
	}
	p.ToServerRate, p.ToClientRate = r.serverMeter.rate(p.ToServer), r.clientMeter.rate(p.ToClient)
	return p
}

func (p relayResult) String() string {
	return fmt.Sprintf("sessions %d of %d opened, to server %d, to clients %d, failed %d, refused %d, lost %d",
		p.Sessions, p.Opened, p.ToServer, p.ToClient, p.Failed, p.Refused, p.Lost)
}

func (p relayResult) line() string {
	return fmt.Sprintf("to server %s, to clients %s; %v", perSecond(p.ToServerRate), perSecond(p.ToClientRate), p)
}

func (p relayResult) lines() []string {
	return []string{
		"",
		fmt.Sprintf("  sessions   %12d  of %d opened", p.Sessions, p.Opened),
		fmt.Sprintf("  to server  %12d  %10s", p.ToServer, perSecond(p.ToServerRate)),
		fmt.Sprintf("  to clients %12d  %10s", p.ToClient, perSecond(p.ToClientRate)),
		fmt.Sprintf("  failed     %12d", p.Failed),
		fmt.Sprintf("  refused    %12d  for lack of sessions", p.Refused),
		fmt.Sprintf("  lost       %12d  since a buffer or queue was full", p.Lost),
	}
}
