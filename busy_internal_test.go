package datagram

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/datagram/internal/socket"
)

// failingSocket is a socket that reports an error for every receive. No real one
// can be made to.
type failingSocket struct {
	socket.Socket
	failure     error
	receives    atomic.Int64
	interrupted atomic.Bool
}

func (f *failingSocket) Receive(*socket.Batch) error {
	f.receives.Add(1)
	if f.interrupted.Load() {
		return socket.ErrInterrupted
	}
	return f.failure
}

func (f *failingSocket) Interrupt() { f.interrupted.Store(true) }
func (f *failingSocket) Resume()    { f.interrupted.Store(false) }

// failingConn returns a handle whose socket reports nothing but an error.
func failingConn(t *testing.T, failure error, opts ...Option) (*Conn, *failingSocket) {
	t.Helper()
	c, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	real, err := socket.Kernel{}.Listen(t.Context(), "udp4", "127.0.0.1:0", c.socketConfig())
	if err != nil {
		t.Fatal(err)
	}
	s := &failingSocket{Socket: real, failure: failure}
	if err := c.adopt(s, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c, s
}

// A socket that reports the same error again and again does not keep a processor busy, and the
// waits in between do not keep StopRecv and Close.
func TestEndlessErrorsAreNoBusyLoop(t *testing.T) {
	failures := make(chan error)
	c, s := failingConn(t, syscall.ENOBUFS, WithErrorHandler(func(err error) { failures <- err }))
	start := time.Now()
	ch := c.Recv()
	// Pauses of 4, 16 and 64 ms, after each second error, begin when patience is over.
	const enough = patience + 6
	for range enough {
		if err := <-failures; !errors.Is(err, syscall.ENOBUFS) {
			t.Fatal(err)
		}
	}
	if elapsed := time.Since(start); elapsed < 50*time.Millisecond {
		t.Errorf("%d errors in %v", enough, elapsed)
	}
	if n := s.receives.Load(); n > enough+1 {
		t.Errorf("%d receives for %d errors", n, enough)
	}
	go func() {
		for range failures { // what comes until it has stopped
		}
	}()
	defer close(failures)
	if err := c.StopRecv(); err != nil {
		t.Error(err)
	}
	if _, ok := <-ch; ok {
		t.Error("a datagram from nowhere")
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
	c.Close()
	<-c.Done()
}

// Serve is under the same rule.
func TestEndlessErrorsAreNoBusyLoopOfServe(t *testing.T) {
	var calls atomic.Int64
	enough := make(chan struct{})
	c, _ := failingConn(t, syscall.ENOBUFS, WithErrorHandler(func(error) {
		if calls.Add(1) == patience+6 {
			close(enough)
		}
	}))
	start := time.Now()
	result := make(chan error, 1)
	go func() { result <- c.Serve(t.Context(), func(Datagram) { t.Error("handled a datagram") }) }()
	<-enough
	if elapsed := time.Since(start); elapsed < 50*time.Millisecond {
		t.Errorf("%d errors in %v", patience+6, elapsed)
	}
	c.StopRecv()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// Which errors end receiving: those that say that the descriptor is not what it was.
func TestWhichErrorsEndReceiving(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EBADF, syscall.ENOTSOCK, syscall.EINVAL, syscall.EFAULT} {
		c, _ := failingConn(t, errno)
		if _, ok := <-c.Recv(); ok {
			t.Error("a datagram from nowhere")
		}
		if err := c.Err(); !errors.Is(err, errno) {
			t.Errorf("%v: Err is %v", errno, err)
		}
		c.Close()
		<-c.Done()
	}
	for _, errno := range []syscall.Errno{
		syscall.ECONNREFUSED, syscall.ENOBUFS, syscall.ENOMEM, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN,
		syscall.ECONNRESET, syscall.EPERM, syscall.EMSGSIZE, syscall.EPIPE, syscall.ETIMEDOUT,
		syscall.EOPNOTSUPP, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EACCES, syscall.EPROTO, // from ICMP
	} {
		failed := make(chan error, 1)
		c, _ := failingConn(t, errno, WithErrorHandler(func(err error) {
			select {
			case failed <- err:
			default:
			}
		}))
		ch := c.Recv()
		if err := <-failed; !errors.Is(err, errno) {
			t.Errorf("%v: the error handler got %v", errno, err)
		}
		select {
		case <-ch:
			t.Errorf("%v ended receiving", errno)
		default:
		}
		if err := c.Err(); err != nil {
			t.Errorf("%v: Err is %v", errno, err)
		}
	}
}
