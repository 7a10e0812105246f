package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"

	"example.com/datagram"
)

const (
	maxAsking = 1000 // questions that wait for the other server; it limits goroutines and memory
	ednsSize  = 1232 // largest answer in bytes that crosses the Internet in one piece (DNS flag day 2020)
)

// A forwarder answers questions.
type forwarder struct {
	send     func(context.Context, datagram.Datagram) error
	upstream *upstream
	cache    *cache
	repeats  *repeats
	report   func(error)

	asking sync.WaitGroup
	count  chan struct{}      // its length is that of asking
	flight singleflight.Group // asks once what many ask at the same time
}

func newForwarder(send func(context.Context, datagram.Datagram) error, up *upstream, entries int, report func(error)) *forwarder {
	return &forwarder{
		send: send, upstream: up, cache: newCache(entries), repeats: newRepeats(entries), report: report,
		count: make(chan struct{}, maxAsking),
	}
}

// handle answers a datagram, or has it answered.
func (f *forwarder) handle(d datagram.Datagram) {
	defer d.Release()
	now, to := time.Now(), d.Reply(nil)
	if to.Payload = f.repeats.get(d.Payload, now); to.Payload != nil {
		f.reply(to)
		return
	}
	query := new(dns.Msg)
	err := query.Unpack(d.Payload)
	switch {
	case len(d.Payload) < headerSize || query.Response:
		return // answering answers would keep two servers busy for ever
	case query.Opcode != dns.OpcodeQuery:
		f.answer(to, query, new(dns.Msg).SetRcode(query, dns.RcodeNotImplemented))
		return
	case err != nil || len(query.Question) != 1:
		f.answer(to, query, new(dns.Msg).SetRcodeFormatError(query))
		return
	}
	if answer, until := f.cache.get(keyOf(query), now); answer != nil {
		f.repeats.add(d.Payload, f.answer(to, query, answer), until)
		return
	}
	select {
	case f.count <- struct{}{}:
	default:
		f.answer(to, query, new(dns.Msg).SetRcode(query, dns.RcodeServerFailure))
		return
	}
	f.asking.Go(func() {
		defer func() { <-f.count }()
		answer, err := f.ask(query)
		if err != nil {
			f.report(err)
			answer = new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
		}
		f.answer(to, query, answer)
	})
}

// ask asks the other server, and remembers the answer.
func (f *forwarder) ask(query *dns.Msg) (*dns.Msg, error) {
	key := keyOf(query)
	answer, err, _ := f.flight.Do(fmt.Sprint(key), func() (any, error) {
		if answer, _ := f.cache.get(key, time.Now()); answer != nil {
			return answer, nil // somebody has asked since handle looked
		}
		answer, err := f.upstream.exchange(key.question())
		if err != nil {
			return nil, err
		}
		withoutEDNS(answer)
		f.cache.add(key, answer, time.Now())
		return answer, nil
	})
	if err != nil {
		return nil, err
	}
	return share(answer.(*dns.Msg)), nil // others get the same
}

// withoutEDNS removes what concerns only two neighbours (RFC 6891 section 6.1.1).
func withoutEDNS(m *dns.Msg) {
	m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	if m.Rcode > 0xf { // an extended code, which is about EDNS
		m.Rcode = dns.RcodeServerFailure
	}
}

// answer sends an answer in the form that suits the query, with its ID and its spelling of the name, and not too long. It
// returns what it sent.
func (f *forwarder) answer(to datagram.Datagram, query, answer *dns.Msg) []byte {
	answer.Id, answer.Question, answer.RecursionDesired = query.Id, query.Question, query.RecursionDesired
	size := dns.MinMsgSize
	if opt := query.IsEdns0(); opt != nil {
		size = min(max(int(opt.UDPSize()), size), ednsSize)
		answer.SetEdns0(ednsSize, opt.Do())
	}
	answer.Truncate(size)
	var err error
	if to.Payload, err = answer.Pack(); err != nil {
		f.report(err)
		return nil
	}
	f.reply(to)
	return to.Payload
}

func (f *forwarder) reply(to datagram.Datagram) {
	if err := f.send(context.Background(), to); err != nil {
		f.report(err)
	}
}
