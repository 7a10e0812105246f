package main

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Repeats remember, for the second in which its lifetimes do not change, what was answered to which datagram. Most questions
// differ from one asked a moment ago in nothing but the ID, and so need not be unpacked.
type repeats struct {
	answers *lru.Cache[string, repeat]
	latest  []byte // what get has returned
}

type repeat struct {
	answer  string // without the ID
	expires time.Time
}

const idSize = 2 // of the ID, with which each message begins

func newRepeats(entries int) *repeats {
	answers, err := lru.New[string, repeat](entries)
	if err != nil {
		panic(err) // entries is positive
	}
	return &repeats{answers: answers}
}

// get returns the answer to a query, or nil. The answer is valid until the next call.
func (r *repeats) get(query []byte, now time.Time) []byte {
	if len(query) < headerSize {
		return nil
	}
	known, ok := r.answers.Get(string(query[idSize:]))
	if !ok || !now.Before(known.expires) {
		return nil
	}
	r.latest = append(append(r.latest[:0], query[:idSize]...), known.answer...)
	return r.latest
}

// add remembers the answer to a query.
func (r *repeats) add(query, answer []byte, until time.Time) {
	if answer != nil {
		r.answers.Add(string(query[idSize:]), repeat{string(answer[idSize:]), until})
	}
}
