package sendqueue

import (
	"net/netip"
	"sync"

	"example.com/datagram/internal/socket"
)

// A completion is a pending call of a completion function. It is all that is kept; the datagram and
// its block are gone.
type completion struct {
	done func(error)
	err  error
	addr netip.AddrPort // if err is not nil
	name *socket.Name
}

// pageCompletions makes a page take 1 KiB, so that a completion takes at most 68 bytes including
// its share of the page. The list grows without copying.
const pageCompletions = 15

type page struct {
	completions    [pageCompletions]completion
	called, filled int
	next           *page
}

// free clears and frees the page.
func (p *page) free() {
	*p = page{}
	pages.Put(p)
}

var pages = sync.Pool{New: func() any { return new(page) }}

// completions is a first-in first-out list. The zero value is an empty list.
type completions struct{ first, last *page }

// add appends the completion of an answered datagram.
func (l *completions) add(t *tail, d *socket.Outgoing) {
	if l.last == nil || l.last.filled == pageCompletions {
		p := pages.Get().(*page)
		if l.last == nil {
			l.first = p
		} else {
			l.last.next = p
		}
		l.last = p
	}
	c := &l.last.completions[l.last.filled]
	l.last.filled++
	c.done = t.done
	if t.err != nil {
		c.err, c.addr, c.name = t.err, d.Addr, d.Name
	}
}

// take removes and returns the first page, or nil.
func (l *completions) take() *page {
	p := l.first
	if p == nil {
		return nil
	}
	if l.first = p.next; l.first == nil {
		l.last = nil
	}
	p.next = nil
	return p
}

// putFront inserts a page at the front.
func (l *completions) putFront(p *page) {
	if p.next = l.first; p.next == nil {
		l.last = p
	}
	l.first = p
}

func (l *completions) empty() bool { return l.first == nil }

// startCompleter starts a completer if there are completions and none is running. mu must be held.
func (q *Queue) startCompleter() {
	if !q.completing && !q.completions.empty() {
		q.completing = true
		q.config.Enter()
		go q.runCompleter()
	}
}

func (q *Queue) complete() {
	defer q.config.Leave()
	q.callAll()
}

// callAll calls completion functions until none is pending. It is called with completing held, and
// gives it up.
func (q *Queue) callAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer func() {
		q.completing = false
		q.startCompleter() // if a completion function called runtime.Goexit
		q.wake()
	}()
	for p := q.completions.take(); p != nil; p = q.completions.take() {
		q.call(p)
	}
}

// call calls the completion functions of a page. mu must be held; call releases it meanwhile.
func (q *Queue) call(p *page) {
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		if p.called < p.filled {
			q.completions.putFront(p)
		} else {
			p.free()
		}
	}()
	for p.called < p.filled {
		c := &p.completions[p.called]
		p.called++
		c.done(q.describe(c))
	}
}

func (q *Queue) describe(c *completion) error {
	if c.err == nil {
		return nil
	}
	return q.config.Describe(c.addr, c.name, c.err)
}
