package main

import (
	"errors"
	"log"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stalledWriter acts like a blocked terminal.
type stalledWriter struct {
	release chan struct{}
	text    strings.Builder
}

func (w *stalledWriter) Write(p []byte) (int, error) {
	<-w.release
	return w.text.Write(p)
}

// Any number of errors make few lines, and add waits for none of them.
func TestErrorLog(t *testing.T) {
	writer, flags := log.Writer(), log.Flags()
	log.SetFlags(0)
	defer func() {
		log.SetOutput(writer)
		log.SetFlags(flags)
	}()
	synctest.Test(t, func(t *testing.T) {
		w := &stalledWriter{release: make(chan struct{})}
		log.SetOutput(w)
		l := newErrorLog(time.Second)
		l.add(errors.New("first"))
		synctest.Wait() // until the first is being printed
		for range 1000 {
			l.add(errors.New("another"))
		}
		close(w.release)
		time.Sleep(time.Minute)
		l.add(errors.New("last"))
		synctest.Wait()
		if got, want := w.text.String(), "first\nanother (and 999 errors before it)\nlast\n"; got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
		close(l.next)
		time.Sleep(time.Second) // the pause after the last
	})
}
