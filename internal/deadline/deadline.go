// Package deadline implements the deadlines of package net.
package deadline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Deadline is a point in time that may be moved, also while others wait for it. The zero Deadline
// is none.
type Deadline struct {
	// Passed, if not nil, is called each time the deadline passes.
	Passed func()

	expiry atomic.Pointer[expiry] // nil until it is needed

	mu    sync.Mutex
	at    time.Time // zero for never
	timer *time.Timer
	due   time.Time // when the timer fires, zero if it is stopped
}

// An expiry is a context that ends when the deadline passes.
type expiry struct {
	context.Context
	end context.CancelFunc
}

func newExpiry() *expiry {
	ctx, cancel := context.WithCancel(context.Background())
	return &expiry{ctx, cancel}
}

// Context returns a context that ends when the deadline passes. It has ended if the deadline has
// passed, and does not revive when the deadline is moved.
func (d *Deadline) Context() context.Context {
	if e := d.expiry.Load(); e != nil {
		return e
	}
	d.expiry.CompareAndSwap(nil, newExpiry())
	return d.expiry.Load()
}

// HasPassed reports whether the deadline has passed.
func (d *Deadline) HasPassed() bool {
	e := d.expiry.Load()
	return e != nil && e.Err() != nil
}

// Set moves the deadline. The zero time is never.
func (d *Deadline) Set(t time.Time) {
	if d.set(t) && d.Passed != nil {
		d.Passed()
	}
}

// set reports whether the new deadline has passed.
func (d *Deadline) set(t time.Time) (passed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = time.Time{}
	if t.IsZero() {
		d.stop()
	} else if wait := time.Until(t); wait <= 0 {
		d.stop()
		passed = true
	} else {
		d.at = time.Now().Add(wait) // if the system's clock is set, nothing changes
		d.start(wait)
	}
	if passed {
		d.Context()
		d.expiry.Load().end()
	} else if d.HasPassed() {
		d.expiry.Store(newExpiry())
	}
	return passed
}

// start makes the timer fire in time. A program that moves the deadline with each datagram leaves
// the timer alone until it fires. mu must be held.
func (d *Deadline) start(wait time.Duration) {
	if !d.due.IsZero() && !d.at.Before(d.due) {
		return
	}
	d.due = d.at
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.fire)
	} else {
		d.timer.Reset(wait)
	}
}

// stop stops the timer. mu must be held.
func (d *Deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.due = time.Time{}
	}
}

// fire ends the expiry if the deadline has passed; it may have been moved.
func (d *Deadline) fire() {
	d.mu.Lock()
	d.due = time.Time{}
	wait := time.Until(d.at)
	passed := !d.at.IsZero() && wait <= 0
	switch {
	case passed:
		d.at = time.Time{}
		d.Context()
		d.expiry.Load().end()
	case !d.at.IsZero():
		d.start(wait)
	}
	d.mu.Unlock()
	if passed && d.Passed != nil {
		d.Passed()
	}
}
