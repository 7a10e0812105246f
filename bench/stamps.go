package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"example.com/datagram"
	"example.com/datagram/bench/internal/mark"
)

// stampsMain compares the time stamps of received datagrams with the sender's clock before and
// after the system call. Over loopback both use the same clock.
func stampsMain(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("bench stamps", flag.ExitOnError)
	count := fs.Int("n", 100_000, "number of datagrams to send")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	receiver, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0", datagram.WithMetadata(datagram.MetaTime))
	if err != nil {
		return err
	}
	defer receiver.Close()
	sender, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer sender.Close()

	rows := []struct {
		name string
		ages *mark.Histogram
	}{
		{"stamp after the sender's clock before TrySend", new(mark.Histogram)},
		{"stamp before the sender's clock after TrySend", new(mark.Histogram)},
		{"reader's clock after the stamp", new(mark.Histogram)},
	}
	received := receiver.Recv()
	outside := 0 // stamps before the first or after the second
	payload := make([]byte, 8)
	for i := range *count {
		binary.NativeEndian.PutUint64(payload, uint64(i))
		before := time.Now().Round(0) // stamps have no monotonic time
		if _, err := sender.TrySend(datagram.To(receiver.LocalAddr(), payload)); err != nil {
			return err
		}
		after := time.Now().Round(0)
		d := <-received
		read := time.Now().Round(0)
		stamp := d.Meta.Time
		d.Release()
		if stamp.Before(before) || stamp.After(after) {
			outside++
		}
		rows[0].ages.Record(stamp.Sub(before))
		rows[1].ages.Record(after.Sub(stamp))
		rows[2].ages.Record(read.Sub(stamp))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tp1\tp50\tp90\tp99\tp99.9\tmax")
	for _, r := range rows {
		p := r.ages.Pairs()
		fmt.Fprintf(table, "%s\t%v\t%v\t%v\t%v\t%v\t%v\n", r.name,
			p.Quantile(0.01), p.Quantile(0.5), p.Quantile(0.9), p.Quantile(0.99), p.Quantile(0.999), p.Quantile(1))
	}
	fmt.Fprintf(table, "%d of %d stamps are outside the two\n", outside, *count)
	return table.Flush()
}
