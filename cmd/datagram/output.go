package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// A view is what a command shows of its progress.
type view interface {
	line() string    // for pipes
	lines() []string // for terminals
}

// An output prints what commands have to say: as text or JSON, and on a terminal with a view at the
// bottom that is drawn again and again. Its methods may be called concurrently. When the output fails
// it cancels the command, which then ends as by a signal.
type output struct {
	format string        // text or json
	every  time.Duration // between views
	name   string        // of the command

	mu       sync.Mutex
	fd       int
	terminal bool
	w        *bufio.Writer
	errors   io.Writer
	cancel   context.CancelCauseFunc
	failed   error
	screen   screen
	warned   time.Time
	unsaid   uint64 // warnings since then
}

func newOutput(file *os.File, errors io.Writer, cancel context.CancelCauseFunc) *output {
	fd := int(file.Fd())
	return &output{
		every: time.Second, fd: fd, terminal: term.IsTerminal(fd),
		w: bufio.NewWriter(file), errors: errors, cancel: cancel,
	}
}

// live reports whether views are redrawn in place.
func (o *output) live() bool {
	return o.terminal && o.format == "text" && o.every > 0
}

// print adds v to the output: its text, or an object of JSON with v under the name of its kind. It
// appears after flush.
func (o *output) print(kind string, v fmt.Stringer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.screen.erase(o.w)
	var err error
	if o.format == "json" {
		err = json.NewEncoder(o.w).Encode(map[string]any{kind: v})
	} else {
		_, err = fmt.Fprintln(o.w, v)
	}
	o.note(err)
}

// flush writes what was printed.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.screen.draw(o.w)
	o.note(o.w.Flush())
}

// say prints v at once.
func (o *output) say(kind string, v fmt.Stringer) {
	o.print(kind, v)
	o.flush()
}

// note cancels the command at the first error of the output.
func (o *output) note(err error) {
	if err != nil && o.failed == nil {
		o.failed = err
		o.cancel(err)
	}
}

// warn prints an error that does not end the command. It prints at most one a second, since strangers can
// cause any number of them. It suits [datagram.WithErrorHandler].
func (o *output) warn(err error) {
	if errors.Is(err, net.ErrClosed) {
		return // the command is ending, and counts what it did not send
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.warned) >= time.Second {
		o.warnNow(err.Error())
		o.warned = now
	} else {
		o.unsaid++
	}
}

func (o *output) warnNow(message string) {
	if o.unsaid > 0 {
		message += fmt.Sprintf(" (and %s before it)", plural(o.unsaid, "error"))
		o.unsaid = 0
	}
	o.screen.erase(o.w)
	o.note(o.w.Flush())
	fmt.Fprintf(o.errors, "%s: %s\n", o.name, message)
	o.screen.draw(o.w)
	o.note(o.w.Flush())
}

// refreshes is how often a second a terminal is redrawn.
const refreshes = 5

// watch shows what look returns, until stop is called: in place on a terminal, else as a line from time
// to time if it has changed.
func (o *output) watch(look func() view) (stop func()) {
	if o.every == 0 {
		return func() {}
	}
	live, every := o.live(), o.every
	if live {
		every = min(every, time.Second/refreshes)
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for said := ""; ; {
			if live {
				o.show(look().lines())
			}
			select {
			case <-quit:
				o.show(nil)
				return
			case <-ticker.C:
				if v := look(); !live && v.line() != said {
					said = v.line()
					o.say("progress", lineOf{v})
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// lineOf is a view that is printed as its line.
type lineOf struct{ view }

func (l lineOf) String() string { return l.line() }

// MarshalJSON implements [json.Marshaler].
func (l lineOf) MarshalJSON() ([]byte, error) { return json.Marshal(l.view) }

// show replaces the lines at the bottom of the terminal.
func (o *output) show(lines []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.screen.erase(o.w)
	o.screen.lines = lines
	o.screen.width, _, _ = term.GetSize(o.fd)
	o.screen.draw(o.w)
	o.note(o.w.Flush())
}

// close writes what is left and returns the first error of the output.
func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsaid > 0 {
		n := o.unsaid
		o.unsaid = 0
		o.warnNow(plural(n, "more error"))
	}
	o.note(o.w.Flush())
	return o.failed
}
