package peer

import (
	"context"

	"example.com/datagram"
	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/report"
)

// datagramBatch is how many datagrams the sender collects, as many as the x/net peer.
const datagramBatch = 64

// The package, for programs that have batches anyway.
var datagramBatchPeer = Peer{
	Name:        "datagram-batch",
	Family:      report.Ours,
	About:       "this package, SendBatch of 64 and ServeBatch",
	Receive:     datagramBatchReceive,
	Send:        datagramBatchSend,
	Echo:        datagramBatchEcho,
	ManySockets: true,
}

func datagramBatchReceive(a *child.Args, sink *child.Sink) (Half, error) {
	c, err := datagramListen(a.RecvNS, a.BindAddr(), nil)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer sink.Flush()
		return closed(c.ServeBatch(context.Background(), func(ds []datagram.Datagram) {
			for i := range ds {
				sink.Add(ds[i].Payload)
				ds[i].Release()
			}
		}))
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}

func datagramBatchSend(a *child.Args, src *child.Source) (Half, error) {
	c, err := datagramListen(a.SendNS, anyPort, nil)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer src.Publish()
		ctx := context.Background()
		ds := make([]datagram.Datagram, datagramBatch)
		for i := range ds {
			ds[i].Payload = make([]byte, a.Size)
		}
		for {
			for i := range ds {
				dst, ok := src.Next(ds[i].Payload)
				if !ok {
					if _, err := c.SendBatch(ctx, ds[:i]); err != nil {
						return closed(err)
					}
					return closed(c.Flush(ctx))
				}
				ds[i].Addr = dst
			}
			if _, err := c.SendBatch(ctx, ds); err != nil {
				return closed(err)
			}
		}
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}

func datagramBatchEcho(a *child.Args) (Half, error) {
	c, err := datagramListen("", a.BindAddr(), nil)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		var replies []datagram.Datagram
		return closed(c.ServeBatch(context.Background(), func(ds []datagram.Datagram) {
			replies = replies[:0]
			for i := range ds {
				replies = append(replies, ds[i].Reply(ds[i].Payload))
			}
			_, _ = c.SendBatch(context.Background(), replies) // the client notices a lost reply
			for i := range ds {
				ds[i].Release()
			}
		}))
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}
