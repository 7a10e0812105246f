package command

import (
	"context"
	"errors"

	"example.com/datagram"
)

// Recv is conn.Recv, and drains receiving when ctx ends: a loop over the channel gets what has been received, and ends.
func Recv(ctx context.Context, conn *datagram.Conn) <-chan datagram.Datagram {
	received := conn.Recv()                                                     // first: to stop what has not begun does nothing
	context.AfterFunc(ctx, func() { _ = conn.DrainRecv(context.Background()) }) // fails only if conn is closed
	return received
}

// Serve is conn.Serve, but when ctx ends it still handles what has been received, and returns nil.
func Serve(ctx context.Context, conn *datagram.Conn, handle func(datagram.Datagram)) error {
	if err := conn.Serve(ctx, handle); !errors.Is(err, context.Canceled) {
		return err
	}
	rest := conn.Recv() // begins with what Serve has left
	drained := make(chan error, 1)
	go func() { drained <- conn.DrainRecv(context.Background()) }()
	for d := range rest {
		handle(d)
	}
	return <-drained
}
