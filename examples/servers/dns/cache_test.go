package main

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

func message(t *testing.T, rcode int, truncated bool, answer, authority string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Rcode, m.Truncated = rcode, truncated
	for text, section := range map[string]*[]dns.RR{answer: &m.Answer, authority: &m.Ns} {
		if text == "" {
			continue
		}
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	return m
}

func TestLifetime(t *testing.T) {
	const a, soa = "a. 300 IN A 192.0.2.1", "b. 200 IN SOA b. b. 1 2 3 4 60"
	for _, test := range []struct {
		name   string
		answer *dns.Msg
		want   time.Duration
	}{
		{"answer", message(t, dns.RcodeSuccess, false, a, ""), 300 * time.Second},
		{"shortest", message(t, dns.RcodeSuccess, false, a, soa), 200 * time.Second},
		{"no such name", message(t, dns.RcodeNameError, false, "", soa), time.Minute},
		{"no such type", message(t, dns.RcodeSuccess, false, "", soa), time.Minute},
		{"nothing, without SOA", message(t, dns.RcodeNameError, false, "", ""), 0},
		{"truncated", message(t, dns.RcodeSuccess, true, a, ""), 0},
		{"failure", message(t, dns.RcodeServerFailure, false, "", soa), 0},
		{"for ever", message(t, dns.RcodeSuccess, false, "a. 2147483647 IN A 192.0.2.1", ""), maxTTL},
		{"for now", message(t, dns.RcodeSuccess, false, "a. 0 IN A 192.0.2.1", ""), 0},
	} {
		if got := lifetime(test.answer); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// What is remembered grows old, and is forgotten for newer answers.
func TestCache(t *testing.T) {
	c := newCache(2)
	start := time.Unix(0, 0)
	keys := []key{{name: "a."}, {name: "b."}, {name: "a.", dnssec: true}}
	for _, k := range keys {
		c.add(k, message(t, dns.RcodeSuccess, false, "a. 300 IN A 192.0.2.1", ""), start)
	}
	if answer, _ := c.get(keys[0], start); answer != nil {
		t.Error("three answers in a cache of two")
	}
	for _, test := range []struct {
		age  time.Duration
		want uint32
	}{{0, 300}, {1500 * time.Millisecond, 299}, {299 * time.Second, 1}} {
		if answer, _ := c.get(keys[2], start.Add(test.age)); answer == nil || answer.Answer[0].Header().Ttl != test.want {
			t.Errorf("after %v: %v, want a TTL of %d", test.age, answer, test.want)
		}
	}
	if answer, _ := c.get(keys[2], start.Add(300*time.Second)); answer != nil {
		t.Errorf("expired: %v", answer)
	}
}
