package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"example.com/datagram"
)

const (
	patience  = 30 * time.Second // without any progress the sender gives up
	reordered = 3                // packets that may overtake another before that counts as lost (RFC 9002 section 6.1.1)
)

// A sender sends one file. It finds lost packets as QUIC does (RFC 9002), and limits those in flight as TCP does (RFC 5681).
type sender struct {
	conn  *datagram.Conn // connected
	id    uint64
	offer offer
	file  io.ReaderAt

	total    uint32         // number of packets; number 0 is the offer
	first    uint32         // the first that has not arrived
	next     uint32         // the first that was never sent
	packets  [window]packet // those from first to next, by number modulo window
	inFlight int

	order      uint64 // of the last transmission
	newest     uint64 // order of the latest transmission that has arrived
	repeated   int
	timeouts   *timeouts
	congestion congestion
}

// A packet is in flight, or lost and to be sent again, or has arrived.
type packet struct {
	state state
	order uint64
	sent  time.Time
	again bool // was sent more than once: an ack does not tell which transmission arrived
}

type state byte

const (
	inFlight state = iota
	lost
	arrived
)

func newSender(conn *datagram.Conn, o offer, file io.ReaderAt) *sender {
	return &sender{
		conn: conn, id: rand.Uint64(), offer: o, file: file, total: uint32(o.packets()),
		timeouts: newTimeouts(), congestion: newCongestion(),
	}
}

// run sends the file, and returns nil once the receiver has stored it.
func (s *sender) run(ctx context.Context) error {
	active := time.Now() // when a packet last arrived or timed out
	progress := active
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := s.fill(ctx); err != nil {
			return err
		}
		timer.Reset(time.Until(active.Add(s.timeouts.current())))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case d, ok := <-s.conn.Recv():
			if !ok {
				return s.conn.Err()
			}
			a, ok := decodeAck(d.Payload)
			d.Release()
			if !ok || a.transfer != s.id {
				continue
			}
			switch a.status {
			case stored:
				return nil
			case refused:
				return errors.New("refused: " + a.problem)
			}
			if s.acknowledge(a, time.Now()) {
				active = time.Now()
				progress = active
			}
		case <-timer.C:
			if time.Since(progress) > patience {
				return fmt.Errorf("no answer for %v: %w", patience, os.ErrDeadlineExceeded)
			}
			active = time.Now()
			s.timeOut()
		}
	}
}

// fill sends as many packets as may be in flight, lost ones first.
func (s *sender) fill(ctx context.Context) error {
	end := min(s.first+window, s.total)
	for number := s.first; number < end && s.inFlight < s.congestion.limit(); number++ {
		p := &s.packets[number%window]
		switch {
		case number == s.next:
			*p = packet{}
			s.next++
		case p.state == lost:
			p.again = true
			s.repeated++
		default:
			continue
		}
		s.order++
		p.state, p.order, p.sent = inFlight, s.order, time.Now()
		s.inFlight++
		payload, err := s.payload(number)
		if err != nil {
			return err
		}
		d := data{s.id, number, payload}
		// Send, since packets of equal size to one receiver leave together.
		if err := s.conn.Send(ctx, datagram.Datagram{Payload: d.encode()}); err != nil {
			return err
		}
	}
	return nil
}

// payload returns the payload of a packet.
func (s *sender) payload(number uint32) ([]byte, error) {
	if number == 0 {
		return json.Marshal(s.offer)
	}
	p := make([]byte, min(payloadSize, s.offer.Size-offset(number)))
	_, err := s.file.ReadAt(p, offset(number))
	if errors.Is(err, io.EOF) {
		err = nil // the receiver notices if the file has changed
	}
	return p, err
}

// acknowledge notes what has arrived, and what must have been lost, and reports whether anything is new.
func (s *sender) acknowledge(a ack, now time.Time) (progress bool) {
	if a.next > s.next {
		return false // nonsense
	}
	for number := s.first; number < s.next; number++ {
		p := &s.packets[number%window]
		later := int64(number) - int64(a.next) - 1 // 64 or more shifts a.later to nothing
		if p.state == arrived || number >= a.next && (later < 0 || a.later>>later&1 == 0) {
			continue
		}
		if p.state == inFlight {
			s.inFlight--
		}
		if !p.again {
			s.timeouts.sample(now.Sub(p.sent))
		}
		p.state, progress = arrived, true
		s.newest = max(s.newest, p.order)
		s.congestion.arrived()
	}
	for s.first < s.next && s.packets[s.first%window].state == arrived {
		s.first++
	}
	for number := s.first; number < s.next; number++ {
		if p := &s.packets[number%window]; p.state == inFlight && p.order+reordered <= s.newest {
			p.state = lost
			s.inFlight--
			s.congestion.lost(p.order, s.order)
		}
	}
	return progress
}

// timeOut gives up all that is in flight, and begins again with one packet.
func (s *sender) timeOut() {
	for number := s.first; number < s.next; number++ {
		if p := &s.packets[number%window]; p.state == inFlight {
			p.state = lost
		}
	}
	s.inFlight = 0
	s.timeouts.backOff()
	s.congestion.collapse()
}
