package session

import "time"

// A deadline limits how long calls wait. It takes a timer only if it is set.
type deadline struct {
	at    time.Time // zero: none
	timer *time.Timer
}

// set sets the deadline. passed is called on another goroutine when it has passed, and perhaps
// without need.
func (d *deadline) set(at time.Time, passed func()) {
	d.stop()
	d.at = at
	if at.IsZero() {
		return
	}
	wait := time.Until(at)
	d.at = time.Now().Add(wait) // of the same clock as the timer
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, passed)
	} else {
		d.timer.Reset(wait)
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
