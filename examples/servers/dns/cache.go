package main

import (
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/miekg/dns"
)

// maxTTL limits how long an answer is remembered, whatever it says (RFC 8767 section 4).
const maxTTL = 24 * time.Hour

// A key is what makes two questions the same.
type key struct {
	name               string
	qtype, class       uint16
	recursive, checked bool // the flags RD, and not CD
	dnssec             bool
}

func keyOf(query *dns.Msg) key {
	q := query.Question[0]
	opt := query.IsEdns0()
	return key{strings.ToLower(q.Name), q.Qtype, q.Qclass, query.RecursionDesired, !query.CheckingDisabled, opt != nil && opt.Do()}
}

// question returns a query with the key.
func (k key) question() *dns.Msg {
	m := new(dns.Msg)
	m.RecursionDesired, m.CheckingDisabled = k.recursive, !k.checked
	m.Question = []dns.Question{{Name: k.name, Qtype: k.qtype, Qclass: k.class}}
	return m.SetEdns0(ednsSize, k.dnssec)
}

// A cache remembers answers until they expire, or until there is no room for all.
type cache struct{ answers *lru.Cache[key, entry] }

// An entry is an answer with the lifetimes that it had at a time. It is not changed, since many may be using it.
type entry struct {
	answer  *dns.Msg
	aged    time.Time
	expires time.Time
}

func newCache(entries int) *cache {
	answers, err := lru.New[key, entry](entries)
	if err != nil {
		panic(err) // entries is positive
	}
	return &cache{answers}
}

// get returns an answer with what is left of its lifetime, and until when that holds, or nil. The records are shared: the
// caller must not change them.
func (c *cache) get(k key, now time.Time) (*dns.Msg, time.Time) {
	e, ok := c.answers.Get(k)
	if !ok || !now.Before(e.expires) {
		return nil, time.Time{}
	}
	if age := now.Sub(e.aged).Truncate(time.Second); age > 0 { // once a second, not for each question
		e.answer, e.aged = e.answer.Copy(), e.aged.Add(age)
		for rr := range records(e.answer) {
			rr.Header().Ttl -= min(uint32(age/time.Second), rr.Header().Ttl)
		}
		c.answers.Add(k, e)
	}
	return share(e.answer), e.aged.Add(time.Second)
}

// share returns a copy of a message that shares its records. Appending to its sections copies them.
func share(m *dns.Msg) *dns.Msg {
	shared := *m
	shared.Answer, shared.Ns, shared.Extra = slices.Clip(m.Answer), slices.Clip(m.Ns), slices.Clip(m.Extra)
	return &shared
}

// add remembers an answer, if it may be. The caller must not change it afterwards.
func (c *cache) add(k key, answer *dns.Msg, now time.Time) {
	if ttl := lifetime(answer); ttl > 0 {
		c.answers.Add(k, entry{answer, now, now.Add(ttl)})
	}
}

// lifetime returns how long an answer may be remembered.
func lifetime(answer *dns.Msg) time.Duration {
	failed := answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError
	if failed || answer.Truncated {
		return 0
	}
	ttl, found := maxTTL, false
	for rr := range records(answer) {
		ttl, found = min(ttl, time.Duration(rr.Header().Ttl)*time.Second), true
	}
	if len(answer.Answer) > 0 {
		return ttl
	}
	for _, rr := range answer.Ns { // that there is nothing holds as long as the SOA says (RFC 2308 section 5)
		if soa, ok := rr.(*dns.SOA); ok && found {
			return min(ttl, time.Duration(soa.Minttl)*time.Second)
		}
	}
	return 0
}

// records returns the resource records of a message.
func records(m *dns.Msg) func(yield func(dns.RR) bool) {
	return func(yield func(dns.RR) bool) {
		for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
			for _, rr := range section {
				if !yield(rr) {
					return
				}
			}
		}
	}
}
