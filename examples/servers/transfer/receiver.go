package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"example.com/datagram"
)

const (
	// A transfer is forgotten this long after its last packet; until then a sender that missed the last ack gets another.
	// A sender gives up earlier.
	idle = 2 * patience

	maxTransfers = 500 // limits memory and open files
)

// A receiver stores the files that are sent to it.
type receiver struct {
	conn      *datagram.Conn
	directory *os.Root
	limit     int64 // size of a file
	out       io.Writer
	report    func(error)
	transfers map[transferID]*transfer
}

type transferID struct {
	peer   netip.AddrPort
	number uint64
}

func newReceiver(conn *datagram.Conn, directory *os.Root, limit int64, out io.Writer, report func(error)) *receiver {
	return &receiver{conn, directory, limit, out, report, make(map[transferID]*transfer)}
}

// run handles packets until the handle stops receiving. They come from Recv: while the disk is slow, packets wait in the system's
// buffer, and the ticker needs the same goroutine.
func (r *receiver) run(packets <-chan datagram.Datagram) error {
	ticker := time.NewTicker(idle)
	defer ticker.Stop()
	defer r.forget(time.Now().Add(2 * idle)) // all
	for {
		select {
		case d, ok := <-packets:
			if !ok {
				return r.conn.Err()
			}
			err := r.handle(d)
			d.Release()
			if err != nil {
				return err
			}
		case now := <-ticker.C:
			r.forget(now)
		}
	}
}

func (r *receiver) handle(d datagram.Datagram) error {
	packet, ok := decodeData(d.Payload)
	if !ok {
		return nil
	}
	id := transferID{d.Addr, packet.transfer}
	t := r.transfers[id]
	switch {
	case t != nil:
	case packet.number > 0:
		t = &transfer{ack: ack{status: refused, problem: "the transfer was interrupted"}} // the receiver has started anew
	case len(r.transfers) == maxTransfers:
		t = &transfer{ack: ack{status: refused, problem: "too many transfers"}}
	default:
		t = newTransfer(r.directory, packet.payload, r.limit)
		r.transfers[id] = t
	}
	t.seen = time.Now()
	if t.ack.status == receiving {
		t.add(packet)
		if t.ack.status == stored {
			if _, err := fmt.Fprintf(r.out, "%s, %d bytes from %v\n", t.offer.Name, t.offer.Size, d.Addr); err != nil {
				return err
			}
		}
	}
	answer := t.ack
	answer.transfer = packet.transfer
	if err := r.conn.Send(context.Background(), d.Reply(answer.encode())); err != nil {
		r.report(err) // the sender's address may be one that nobody can answer
	}
	return nil
}

// forget forgets the transfers that are idle at a time, and removes what is not complete.
func (r *receiver) forget(now time.Time) {
	for id, t := range r.transfers {
		if now.Sub(t.seen) > idle {
			t.abandon()
			delete(r.transfers, id)
		}
	}
}
