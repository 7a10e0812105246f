package datagram_test

import (
	"context"
	"errors"
	"testing"

	"example.com/datagram"
)

// Shutdown waits for a handler that runs, until its context ends. The handle is closed either way.
func TestShutdownWaitsForHandlers(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	handling, finish := make(chan struct{}), make(chan struct{})
	go c.Serve(t.Context(), func(datagram.Datagram) {
		close(handling)
		<-finish
	})
	defer close(finish)
	mustSend(t, boundConn(t, "udp4", "127.0.0.1:0"), datagram.To(c.LocalAddr(), nil))
	awaitClosed(t, handling, "the datagram")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.Shutdown(ctx) }()
	awaitCondition(t, "the handle is closed", func() bool { return c.Err() != nil })
	select {
	case err := <-result:
		t.Errorf("Shutdown returned %v while a handler ran", err)
	default:
	}
	cancel()
	if err := awaitValue(t, result, "Shutdown"); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}
