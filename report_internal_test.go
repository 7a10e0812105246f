package datagram

import (
	"context"
	"testing"
	"testing/synctest"
)

// While a completion function waits no other runs, and the handle is active and not shut down.
func TestCompletionFunctionThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := hookedConn(t)
		send := func(done func(error)) {
			t.Helper()
			if err := c.SendFunc(context.Background(), anywhere, done); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		release, second := make(chan struct{}), false
		send(func(error) { <-release })
		if !c.Active() {
			t.Error("not active")
		}
		c.send.hold(true)
		send(func(error) { second = true })
		c.send.unhold() // sends on this goroutine, which then looks for a reporter
		synctest.Wait()
		if second {
			t.Error("two completion functions at once")
		}
		release <- struct{}{}
		synctest.Wait()
		if !second {
			t.Error("the second completion function was not called")
		}
		send(func(error) { <-release })
		ended := false
		go func() {
			if err := c.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Error("Shutdown did not wait")
		}
		release <- struct{}{}
		synctest.Wait()
		if !ended {
			t.Error("Shutdown waits for nothing")
		}
	})
}

// The error handler hears nothing of what was sent, also if others have asked to be told.
func TestErrorHandlerHearsOfFailuresOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := hookedConn(t, WithErrorHandler(func(err error) { t.Errorf("told of %v", err) }))
		c.send.hold(true)
		if err := c.TryQueue(anywhere); err != nil {
			t.Fatal(err)
		}
		answer := queueAnswered(t, c)
		c.send.unhold()
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}
