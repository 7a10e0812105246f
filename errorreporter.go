package datagram

import (
	"net/netip"
	"sync"

	"example.com/datagram/internal/deque"
	"example.com/datagram/internal/socket"
)

// An errorReporter passes the error handler the errors that no call can return, one at a time and
// in order. It does so on a goroutine that exists only while there is something to report.
// Reporting never waits for the handler: errors wait in a bounded list, since strangers can cause
// any number of them, and those that do not fit are only counted.
type errorReporter struct {
	describe func(*errorReport) error
	enter    func() bool // called around the goroutine, with leave
	leave    func()

	mu       sync.Mutex
	handle   func(error) // nil if there is no handler
	waiting  deque.Deque[errorReport]
	running  bool
	received uint64 // receive errors
	dropped  uint64 // errors that found the list full
}

// maxReports is how many errors may wait for the handler. Each takes up to 256 bytes.
const maxReports = 1024

// An errorReport is an error for the handler, without what takes time to find out.
type errorReport struct {
	op   string // of the *net.OpError; "" for an error that is reported as it is
	addr netip.AddrPort
	name *socket.Name
	err  error
}

// receiveError reports an error after which receiving continues.
func (r *errorReporter) receiveError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received++
	r.report(errorReport{op: "read", err: err})
}

// networkErrors reports the ICMP errors about datagrams that were sent.
func (r *errorReporter) networkErrors(list socket.NetworkErrors) {
	if len(list) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received += uint64(len(list))
	for _, e := range list {
		r.report(errorReport{err: &NetworkError{Dst: e.Dst, Offender: e.Offender, MTU: e.MTU, Err: e.Errno}})
	}
}

// failedSend reports the failure of a datagram without a completion function.
func (r *errorReporter) failedSend(addr netip.AddrPort, name *socket.Name, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(errorReport{op: "write", addr: addr, name: name, err: err})
}

// report appends an error to the list. mu must be held.
func (r *errorReporter) report(e errorReport) {
	switch {
	case r.handle == nil:
	case r.waiting.Len() >= maxReports:
		r.dropped++
	default:
		r.waiting.PushBack(e)
		r.start()
	}
}

// start starts the goroutine if it is needed and not running. mu must be held.
func (r *errorReporter) start() {
	if !r.running && r.waiting.Len() > 0 && r.enter() {
		r.running = true
		go r.run()
	}
}

func (r *errorReporter) run() {
	defer r.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		r.running = false
		r.start() // if the handler called runtime.Goexit
	}()
	var e errorReport
	for r.waiting.PopFront(&e) {
		r.call(&e)
	}
}

// call calls the handler. mu must be held; call releases it meanwhile.
func (r *errorReporter) call(e *errorReport) {
	handle := r.handle
	if handle == nil {
		return // removed meanwhile
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	handle(r.describe(e))
}

// SetErrorHandler replaces the function set by [WithErrorHandler]; nil removes
// it. The previous function may still be running.
func (c *Conn) SetErrorHandler(handle func(error)) {
	r := &c.reporter
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handle = handle
}

// counts returns the number of receive errors, and the number of errors of any kind that the
// handler was never told of.
func (r *errorReporter) counts() (received, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received, r.dropped
}

// reportMet reports errors that a send encountered and that are not about the datagram it sent.
func (c *Conn) reportMet() {
	s := c.socket()
	if c.config.networkErrors {
		list := s.NetworkErrors()
		c.reporter.networkErrors(list)
		c.recv.met(list)
	}
	for _, err := range s.PendingErrors() {
		if isLost(err) { // the send itself has returned it
			c.recv.lost(err)
		} else {
			c.reporter.receiveError(err)
			c.recv.met(err)
		}
	}
}

func (c *Conn) initReporter() {
	r := &c.reporter
	r.handle, r.enter, r.leave = c.config.errorHandler, c.enter, c.leave
	r.describe = func(e *errorReport) error {
		switch e.op {
		case "":
			return e.err
		case "write":
			return c.sendError(&Datagram{Addr: e.addr, name: e.name}, e.err)
		}
		return c.opError(e.op, nil, e.err)
	}
}
