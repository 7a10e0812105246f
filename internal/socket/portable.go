package socket

import (
	"net"
	"sync"

	"example.com/datagram/internal/buffer"
)

// portable is the implementation that every system has: one datagram a system
// call, read by package net.
type portable struct {
	*handle
	conn      *net.UDPConn // nil for other kinds of sockets
	receiving singleReceive
}

func newPortable(h *handle) Socket {
	p := &portable{handle: h}
	p.conn, _ = h.file.(*net.UDPConn)
	p.receiving.init(p)
	return p
}

// noOffload takes note that one datagram goes in each system call.
func (h *handle) noOffload() {
	h.limits.Batch, h.limits.Segment, h.limits.Coalesce = false, false, false
	none := Feature{Reason: "the portable implementation has none"}
	h.features.Batch, h.features.Segment, h.features.Coalesce = none, none, none
}

// single is what a portable receive works on. It holds much memory and is
// therefore kept only by sockets that have something to read.
type single struct {
	messages [1]Incoming
	control  [controlSize]byte
}

var singles = sync.Pool{New: func() any { return new(single) }}

// free keeps a chunk of usual size for the next who receives, and nothing of what was received.
func (s *single) free() {
	m := &s.messages[0]
	if m.Chunk != nil && len(m.Chunk.Bytes) > buffer.Size {
		s.trim()
	}
	*m = Incoming{Chunk: m.Chunk}
	singles.Put(s)
}

func (s *single) trim() {
	if m := &s.messages[0]; m.Chunk != nil {
		m.Chunk.Free()
		m.Chunk = nil
	}
}

// offerSingle returns the memory of the batch, with a chunk to receive into.
func offerSingle(b *Batch, size int) *single {
	s, _ := b.memory.(*single)
	if s == nil {
		s = singles.Get().(*single)
		b.memory = s
	}
	m := &s.messages[0]
	if m.Chunk != nil && len(m.Chunk.Bytes) < size {
		m.Chunk.Free() // of a socket that wanted smaller ones
		m.Chunk = nil
	}
	if m.Chunk == nil {
		m.Chunk = buffer.Get(size)
	}
	return s
}

func (p *portable) Receive(b *Batch) error {
	b.Messages, b.ControlErrors = nil, 0
	if p.conn == nil {
		return p.receiveOther(b)
	}
	// Package net would hold the buffer while it waits.
	if err := p.receiving.wait(b); err != nil {
		return err
	}
	s := offerSingle(b, p.limits.Receive)
	chunk := s.messages[0].Chunk
	n, controlSize, flags, addr, err := p.conn.ReadMsgUDPAddrPort(chunk.Bytes[:p.limits.Receive], s.control[:])
	truncated, err := isTruncated(flags, err)
	if err != nil {
		return closed(err)
	}
	s.messages[0] = Incoming{Chunk: chunk, Payload: chunk.Bytes[:n], Truncated: truncated, Addr: unmap(addr)}
	p.finish(b, s, controlSize, flags)
	return nil
}

// finish publishes a received message with what came beside it.
func (p *portable) finish(b *Batch, s *single, controlSize, flags int) {
	p.counters.ReceiveCalls.Add(1)
	b.Messages = s.messages[:]
	if isControlLost(flags) {
		b.ControlErrors = 1
	}
	if controlSize > 0 {
		parseControl(s.control[:controlSize], &s.messages[0], &p.zones)
	}
	if !p.wildcard {
		// FreeBSD refuses a source to a socket that is bound to an address (in_pcbbind_setup).
		s.messages[0].Elsewhere = true
	}
}

// Drops is not known.
func (p *portable) Drops() (uint32, bool) { return 0, false }
