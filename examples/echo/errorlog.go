package main

import (
	"log"
	"sync/atomic"
	"time"
)

// An errorLog prints at most one error per second, since strangers can cause any number of them.
// Adding an error never waits, however slow the reader of the output is.
type errorLog struct {
	next   chan error
	missed atomic.Uint64 // since the last line
}

func newErrorLog(pause time.Duration) *errorLog {
	l := &errorLog{next: make(chan error, 1)}
	go func() {
		for err := range l.next {
			if n := l.missed.Swap(0); n > 0 {
				log.Printf("%v (and %d errors before it)", err, n)
			} else {
				log.Print(err)
			}
			time.Sleep(pause)
		}
	}()
	return l
}

// add prints err, unless other errors came shortly before it.
func (l *errorLog) add(err error) {
	select {
	case l.next <- err:
	default:
		l.missed.Add(1)
	}
}
