package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"text/tabwriter"
	"time"

	"example.com/datagram"
	"example.com/datagram/bench/internal/mark"
)

// The overload experiment: a server whose handler waits for something else, such as a database, and
// a client that gives up on answers after a while. Requests beyond the server's capacity wait in
// the receive buffer. After a moment all its answers are too late, unless it drops stale requests.
const (
	service  = time.Millisecond
	patience = 100 * time.Millisecond
	maxAge   = patience / 2 // leaves time for the rest of the batch, and for the way back
)

func overloadMain(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("bench overload", flag.ExitOnError)
	duration := fs.Duration("duration", 5*time.Second, "how long each load is offered")
	if err := fs.Parse(args); err != nil {
		return err
	}
	most, err := offer(4*float64(time.Second/service), *duration)
	if err != nil {
		return err
	}
	capacity := max(float64(most.answers)/duration.Seconds(), 1)
	fmt.Fprintf(out, "the handler takes %v and serves %.0f requests a second; the client waits for %v\n\n", service, capacity, patience)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "offered\tWithMaxAge\tanswers/s\tin time\tin time/s\tage p50\tp99\tstale\tdropped by the kernel\t")
	for _, load := range []float64{1, 2, 4} {
		for _, limited := range []bool{false, true} {
			limit := "none"
			var opts []datagram.Option
			if limited {
				limit, opts = maxAge.String(), []datagram.Option{datagram.WithMaxAge(maxAge)}
			}
			r, err := offer(load*capacity, *duration, opts...)
			if err != nil {
				return err
			}
			fmt.Fprintf(table, "%.0fx\t%s\t%.0f\t%.0f %%\t%.0f\t%v\t%v\t%d\t%d\t\n", load, limit,
				float64(r.answers)/duration.Seconds(), 100*float64(r.inTime)/float64(max(r.answers, 1)), float64(r.inTime)/duration.Seconds(),
				r.ages.Quantile(0.5).Round(time.Millisecond), r.ages.Quantile(0.99).Round(time.Millisecond),
				r.server.StaleDrops, r.server.KernelDrops)
		}
	}
	return table.Flush()
}

// offered is the outcome of a load.
type offered struct {
	answers, inTime int
	ages            mark.Pairs // from the sending of the request to the answer
	server          datagram.Stats
}

// offer sends rate requests per second to a new server.
func offer(rate float64, duration time.Duration, opts ...datagram.Option) (*offered, error) {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0", opts...)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	client, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer client.Close()
	go func() {
		_ = server.Serve(ctx, func(d datagram.Datagram) { // until the server is closed
			time.Sleep(service)
			_ = server.Send(ctx, d.Reply(d.Payload))
			d.Release()
		})
	}()

	start := time.Now()
	result := make(chan *offered)
	go func() {
		r, ages := new(offered), new(mark.Histogram)
		for d := range client.Recv() {
			age := time.Since(start) - time.Duration(binary.NativeEndian.Uint64(d.Payload))
			d.Release()
			ages.Record(age)
			r.answers++
			if age <= patience {
				r.inTime++
			}
		}
		r.ages = ages.Pairs()
		result <- r
	}()
	err = request(client, server.LocalAddr(), start, rate, duration)
	client.Close()
	r := <-result
	r.server = server.Stats()
	return r, err
}

// request sends requests with their sending time, each when it is due, however late the answers
// are.
func request(client *datagram.Conn, server netip.AddrPort, start time.Time, rate float64, duration time.Duration) error {
	payload := make([]byte, 8)
	for n := 0; ; n++ {
		due := time.Duration(float64(n) / rate * float64(time.Second))
		if due >= duration {
			return nil
		}
		time.Sleep(due - time.Since(start))
		binary.NativeEndian.PutUint64(payload, uint64(time.Since(start)))
		if err := client.Send(context.Background(), datagram.To(server, payload)); err != nil {
			return err
		}
	}
}
