package socket

import (
	"net"
	"net/netip"
	"sync"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/wire"
)

// A portableSocket is what every system has: one datagram a system call, read
// by package net.
type portableSocket struct {
	*kernelSocket
	conn      *net.UDPConn // nil for other kinds of sockets
	receiving singleReceive
}

func newPortableSocket(k *kernelSocket) Socket {
	p := &portableSocket{kernelSocket: k}
	p.conn, _ = k.file.(*net.UDPConn)
	p.receiving.init(p)
	return p
}

// Features returns what was found out at the start.
func (p *portableSocket) Features() Features {
	f := p.features
	f.ReceiveMessages, f.SendMessages, f.Segments = 1, 1, 1
	return f
}

// SetSegmentation does nothing: there is no segmentation.
func (p *portableSocket) SetSegmentation(bool) {}

// Segments is false.
func (p *portableSocket) Segments() bool { return false }

// NetworkErrors returns none: only Linux has an error queue.
func (p *portableSocket) NetworkErrors() NetworkErrors { return nil }

// Drops is not known.
func (p *portableSocket) Drops() (uint32, bool) { return 0, false }

// single is what a portable receive works on. It holds much memory, so only
// sockets that have something to read keep one.
type single struct {
	messages [1]Incoming
	control  [wire.ControlSize]byte
}

var singles = sync.Pool{New: func() any { return new(single) }}

// free keeps a chunk of usual size for the next receive, and nothing of what
// was received.
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
		s.trim() // it is that of a socket with smaller datagrams
	}
	if m.Chunk == nil {
		m.Chunk = buffer.Get(size)
	}
	return s
}

func (p *portableSocket) Receive(b *Batch) error {
	b.Messages, b.ControlErrors, b.Waited = nil, 0, false
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
		return p.failed(b, closed(err))
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	s.messages[0] = Incoming{Chunk: chunk, Payload: chunk.Bytes[:n], Truncated: truncated, Addr: addr}
	p.finish(b, s, controlSize, flags)
	return nil
}

// failed returns the error of a receive, or receives again if there is none to
// report.
func (p *portableSocket) failed(b *Batch, err error) error {
	b.Free()
	b.Waited = p.receiving.waited
	p.relieve()
	if err = p.restoreAfter(err); err == nil {
		return p.Receive(b)
	}
	return err
}

// finish publishes a received message with what came beside it.
func (p *portableSocket) finish(b *Batch, s *single, controlSize, flags int) {
	p.counters.ReceiveCalls.Add(1)
	b.Messages, b.Waited = s.messages[:], p.receiving.waited
	if isControlLost(flags) {
		b.ControlErrors = 1
	}
	if controlSize > 0 {
		p.parseControl(s.control[:controlSize], &s.messages[0])
	}
	if !p.wildcard {
		// FreeBSD refuses a source to a socket that is bound to an address (in_pcbbind_setup).
		s.messages[0].Elsewhere = true
	}
}
