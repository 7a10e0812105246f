package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
)

// A handle is a datagram.Conn that a listener receives from.
type handle struct {
	listener *Listener
	conn     *datagram.Conn
	local    netip.AddrPort // the bound address
	stop     func()         // gives receiving back
	panicked error          // set by the receiving goroutine before it ends
}

// takeOver makes sure that nobody else receives from the handle. What arrives waits for
// Listener.start.
func (h *handle) takeOver() error {
	taken := make(chan error, 1)
	go h.run(taken)
	if err := <-taken; err != nil {
		return err
	}
	h.local = h.conn.LocalAddr()
	if h.local.IsValid() {
		return nil
	}
	h.stop()
	return fmt.Errorf("%v has no address of IPv4 or IPv6: %w", h.conn, errors.ErrUnsupported)
}

// run receives until the handle is given back, closed, or fails.
func (h *handle) run(taken chan<- error) {
	err := errors.New("session: Admit or Handle has ended the goroutine that receives")
	defer func() { h.listener.ended(h, err) }()
	err = hook.ServeBatch(context.Background(), h.conn, h.receive, func(stop func()) {
		h.stop = stop
		taken <- nil
		<-h.listener.start
	})
	if h.panicked != nil {
		err = h.panicked
	}
	select {
	case taken <- err: // never taken over
	default:
	}
}

// receive passes datagrams on, those of one peer in a row together. Then it lets the readers that it woke run, whose
// answers leave together when it returns.
func (h *handle) receive(batch []datagram.Datagram) {
	defer h.recovers()
	yields := len(batch) > 1 && h.listener.config.Handle == nil
	for len(batch) > 0 {
		f, n := h.flow(&batch[0]), 1
		for n < len(batch) && h.flow(&batch[n]) == f {
			n++
		}
		h.deliver(f, batch[:n])
		batch = batch[n:]
	}
	if yields {
		runtime.Gosched()
	}
}

// flow returns the flow of a received datagram. Handles that are bound to one address need not know
// which address a datagram was sent to.
func (h *handle) flow(d *datagram.Datagram) flow {
	local := h.local
	if d.Meta.Local.IsValid() {
		local = netip.AddrPortFrom(d.Meta.Local, local.Port())
	}
	return flow{remote: d.Addr, local: local}
}

// deliver passes the datagrams of a flow to its session, or opens one.
func (h *handle) deliver(f flow, batch []datagram.Datagram) {
	s := h.listener.table.shard(f)
	for len(batch) > 0 {
		if c := s.find(f); c != nil {
			batch = batch[c.push(batch):]
		} else if h.open(s, f, &batch[0]) {
			batch = batch[1:]
		}
	}
}

// open opens a session for the first datagram of a flow, or counts why not. It returns false if that
// datagram is still to be pushed: with Config.Handle, or if another handle has just opened the session.
func (h *handle) open(s *shard, f flow, first *datagram.Datagram) bool {
	if !h.mayOpen(first) {
		first.Release()
		return true
	}
	c := newConn(h, s, f, first)
	added, existing := h.listener.add(c)
	if added || existing {
		return added && h.listener.config.Handle == nil
	}
	first.Release()
	return true
}

// mayOpen reports whether a peer may have a session, and counts why not.
func (h *handle) mayOpen(d *datagram.Datagram) bool {
	l := h.listener
	l.mu.Lock()
	refused := l.refuses()
	l.mu.Unlock()
	if refused || l.config.Admit == nil {
		return !refused
	}
	if h.admits(d) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusedAdmit++
	return false
}

// admits calls Admit. The datagram is still to be read, so Admit cannot release it.
func (h *handle) admits(d *datagram.Datagram) bool {
	lent := *d
	hook.Unlend(d)
	admitted := h.listener.config.Admit(*d)
	*d = lent
	return admitted
}

// recovers ends receiving if Admit or Handle has panicked, as Conn.Serve does.
func (h *handle) recovers() {
	if v := recover(); v != nil {
		h.panicked = fmt.Errorf("session: Admit or Handle panicked: %v\n%s", v, debug.Stack())
		h.stop()
	}
}

// ended ends the sessions of a handle that no longer receives. err is nil if its receiving was
// stopped: then what was received remains readable, and answers can be written.
func (l *Listener) ended(h *handle, err error) {
	if errors.Is(err, net.ErrClosed) {
		err = net.ErrClosed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range slices.Clone(l.open) {
		switch {
		case c.handle != h:
		case err == nil:
			c.shard.remove(c)
			c.stop()
		default:
			l.end(c, err)
		}
	}
	l.running--
	if err == nil {
		err = net.ErrClosed
	}
	l.failure = err
	l.changed.Broadcast()
	l.settle()
}
