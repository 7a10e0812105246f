package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"example.com/datagram"
)

const headerSize = 12 // of a DNS message, in bytes

// tries are how long to wait for an answer to each of several tries. Most clients wait for 5 seconds.
var tries = []time.Duration{time.Second, time.Second, 2 * time.Second}

// An upstream asks another server. Answers find their questions by ID.
type upstream struct {
	conn *datagram.Conn // connected

	mu      sync.Mutex
	waiting map[uint16]pending
}

type pending struct {
	question dns.Question
	answer   chan *dns.Msg // has room for one
}

func newUpstream(conn *datagram.Conn) *upstream {
	return &upstream{conn: conn, waiting: make(map[uint16]pending)}
}

// listen passes answers on until the handle closes.
func (u *upstream) listen() {
	for d := range u.conn.Recv() {
		answer := new(dns.Msg)
		err := answer.Unpack(d.Payload)
		d.Release()
		if err != nil || !answer.Response || len(answer.Question) != 1 {
			continue
		}
		// Somebody may forge the server's address and guess IDs: the question must match too, and a wrong answer does not
		// end the wait for the right one.
		u.mu.Lock()
		p, ok := u.waiting[answer.Id]
		u.mu.Unlock()
		if ok && same(p.question, answer.Question[0]) {
			select {
			case p.answer <- answer:
			default: // a second answer
			}
		}
	}
}

func same(a, b dns.Question) bool {
	return strings.EqualFold(a.Name, b.Name) && a.Qtype == b.Qtype && a.Qclass == b.Qclass
}

// exchange asks a question and returns the answer. It tries again, with the same ID so that a late answer counts, because
// the question or the answer may have been lost.
func (u *upstream) exchange(question *dns.Msg) (*dns.Msg, error) {
	p := u.wait(question)
	defer u.forget(question.Id)
	payload, err := question.Pack()
	if err != nil {
		return nil, err
	}
	for _, patience := range tries {
		if err := u.conn.Send(context.Background(), datagram.Datagram{Payload: payload}); err != nil {
			return nil, err
		}
		select {
		case answer := <-p.answer:
			return answer, nil
		case <-time.After(patience):
		}
	}
	return nil, fmt.Errorf("%s: no answer from %v: %w", p.question.Name, u.conn.RemoteAddr(), os.ErrDeadlineExceeded)
}

// wait registers a question under an ID that no other has, and that is hard to guess.
func (u *upstream) wait(question *dns.Msg) pending {
	p := pending{question.Question[0], make(chan *dns.Msg, 1)}
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		question.Id = dns.Id()
		if _, ok := u.waiting[question.Id]; !ok { // at most maxAsking of 65,536 are taken
			u.waiting[question.Id] = p
			return p
		}
	}
}

func (u *upstream) forget(id uint16) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.waiting, id)
}
