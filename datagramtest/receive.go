package datagramtest

import (
	"os"
	"time"

	"example.com/datagram/internal/socket"
)

// An arrival is a packet in a receive buffer.
type arrival struct {
	*packet
	at time.Time
}

// overhead is the receive buffer space that a datagram takes beyond its payload. Linux charges
// about as much: 832 bytes for a payload of up to 100, 2,304 for one of 1,472.
const overhead = 768

// isFull reports whether the receive buffer is full. As on Linux, one datagram may exceed the
// limit. mu must be held.
func (e *endpoint) isFull() bool { return e.buffered >= e.options[socket.ReadBuffer] }

// accept puts a packet into the receive buffer if there is room. mu must be held.
func (e *endpoint) accept(p *packet) bool {
	if e.isFull() {
		e.drops++
		return false
	}
	e.buffered += overhead + p.size
	e.arrived = append(e.arrived, &arrival{p, time.Now().Round(0)})
	e.changed.Signal()
	return true
}

// told records a report of the network about a datagram. Reports take space in the receive buffer
// (sock_queue_err_skb of Linux). mu must be held.
func (e *endpoint) told(report socket.NetworkError) {
	switch {
	case e.limits.NetworkErrors:
		if e.isFull() {
			return
		}
		e.buffered += overhead
		e.reports = append(e.reports, report)
	case zoned(e.peer) == report.Dst:
		e.refusal = report.Errno
	default:
		return
	}
	e.changed.Signal()
}

// refused returns and clears the pending error. mu must be held.
func (e *endpoint) refused(call string) error {
	errno := e.refusal
	e.refusal = 0
	if errno == 0 {
		return nil
	}
	return os.NewSyscallError(call, errno)
}

// maxMet limits the errors that sends encountered and that are not yet reported.
const maxMet = 256

// meet records an error that a send encountered and that is not about what it sends. mu must be
// held.
func (e *endpoint) meet(err error) {
	if err == nil {
		return
	}
	if len(e.met) < maxMet {
		e.met = append(e.met, err)
	}
	e.counters.NetworkErrors.Add(1)
}

// PendingErrors returns the errors that sends have encountered since the last call.
func (e *endpoint) PendingErrors() []error {
	e.network.lock()
	defer e.network.mu.Unlock()
	met := e.met
	e.met = nil
	return met
}

// maxMessages is the maximum number of datagrams per call, with batches.
const maxMessages = 64

// Receive waits for datagrams or errors.
func (e *endpoint) Receive(b *socket.Batch) error {
	b.Messages, b.ControlErrors, b.Waited = nil, 0, false
	e.network.lock()
	defer e.network.mu.Unlock()
	e.reclaim()
	for {
		if err := e.ended(); err != nil {
			return err
		}
		if e.interrupted {
			return socket.ErrInterrupted
		}
		if reports := e.takeReports(); reports != nil {
			return reports
		}
		if err := e.refused("recvmsg"); err != nil {
			return err
		}
		if len(e.arrived) > 0 {
			b.Messages = e.take()
			e.counters.ReceiveCalls.Add(1)
			return nil
		}
		e.messages = nil // hold no memory while waiting
		b.Waited = true
		e.changed.Wait()
	}
}

// Readable reports whether a datagram has arrived.
func (e *endpoint) Readable() bool {
	e.network.lock()
	defer e.network.mu.Unlock()
	return len(e.arrived) > 0
}

// reclaim frees the memory of the latest Receive that the caller did not keep. mu must be held.
func (e *endpoint) reclaim() {
	for i := range e.messages {
		if chunk := e.messages[i].Chunk; chunk != nil {
			chunk.Free()
		}
	}
	e.messages = e.messages[:0]
}

// take takes datagrams from the receive buffer. mu must be held.
func (e *endpoint) take() []socket.Incoming {
	n := min(len(e.arrived), e.features.ReceiveMessages)
	for _, a := range e.arrived[:n] {
		e.buffered -= overhead + a.size
		e.messages = append(e.messages, e.incoming(a))
	}
	clear(e.arrived[:n])
	if e.arrived = e.arrived[n:]; len(e.arrived) == 0 {
		e.arrived = nil
	}
	return e.messages
}

// incoming returns an arrival as a message. mu must be held.
func (e *endpoint) incoming(a *arrival) socket.Incoming {
	size := min(a.size, e.limits.Receive)
	m := socket.Incoming{
		Chunk:     a.chunk,
		Payload:   a.chunk.Bytes[:size],
		Truncated: size < a.size,
		Addr:      zoned(a.from),
	}
	m.Elsewhere = a.members != nil
	if e.options[socket.ReceiveLocal] != 0 {
		m.Control.Local, m.Control.IfIndex = zoned(a.to).Addr(), a.ifIndex
	}
	if e.options[socket.ReceiveHopLimit] != 0 {
		m.Control.HopLimit = a.hopLimit
	}
	if e.options[socket.ReceiveTrafficClass] != 0 {
		m.Control.TrafficClass = a.trafficClass
	}
	if e.options[socket.ReceiveTime] != 0 {
		m.Control.Time = a.at
	}
	return m
}

// Interrupt ends a Receive in progress and fails later ones until Resume.
func (e *endpoint) Interrupt() { e.interrupt(true) }

// Resume lets Receive work again.
func (e *endpoint) Resume() { e.interrupt(false) }

func (e *endpoint) interrupt(on bool) {
	e.network.lock()
	defer e.network.mu.Unlock()
	e.interrupted = on
	e.changed.Signal()
}

// NetworkErrors returns the reports that were not yet received.
func (e *endpoint) NetworkErrors() socket.NetworkErrors {
	e.network.lock()
	defer e.network.mu.Unlock()
	return e.takeReports()
}

// takeReports takes network errors from the receive buffer. mu must be held.
func (e *endpoint) takeReports() socket.NetworkErrors {
	reports := e.reports
	e.reports = nil
	e.buffered -= overhead * len(reports)
	return reports
}

// Drops counts the datagrams that found the receive buffer full.
func (e *endpoint) Drops() (uint32, bool) {
	e.network.lock()
	defer e.network.mu.Unlock()
	return e.drops, e.ended() == nil
}
