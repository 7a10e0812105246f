package main

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func testResponder(t *testing.T) *responder {
	t.Helper()
	r, err := newResponder("demo", "_http._tcp", 80)
	if err != nil {
		t.Fatal(err)
	}
	r.addresses = func(ifindex int) []net.Addr {
		if ifindex != 7 {
			return nil
		}
		return []net.Addr{
			&net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)},
			&net.IPNet{IP: net.ParseIP("2001:db8::1"), Mask: net.CIDRMask(64, 128)},
		}
	}
	return r
}

func query(name string, qtype, class uint16) *dns.Msg {
	return &dns.Msg{MsgHdr: dns.MsgHdr{Id: 77}, Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: class}}}
}

func TestAnswer(t *testing.T) {
	r := testResponder(t)
	for _, test := range []struct {
		name           string
		query          *dns.Msg
		ifindex        int
		legacy         bool
		answers        int
		unicast        bool
		id             uint16
		ttl            uint32
		flush, repeats bool // the cache-flush bit; the question is repeated
	}{
		{"multicast", query("demo.local.", dns.TypeA, dns.ClassINET), 7, false, 1, false, 0, 120, true, false},
		{"both families", query("Demo.Local.", dns.TypeANY, dns.ClassINET), 7, false, 2, false, 0, 120, true, false},
		{"wants unicast", query("demo.local.", dns.TypeAAAA, dns.ClassINET|classTopBit), 7, false, 1, true, 0, 120, true, false},
		{"legacy", query("demo.local.", dns.TypeA, dns.ClassINET), 7, true, 1, true, 77, 10, false, true},
		{"another name", query("other.local.", dns.TypeA, dns.ClassINET), 7, true, 0, true, 0, 0, false, false},
		{"another type", query("demo.local.", dns.TypeMX, dns.ClassINET), 7, true, 0, true, 0, 0, false, false},
		{"another class", query("demo.local.", dns.TypeA, dns.ClassCHAOS), 7, true, 0, true, 0, 0, false, false},
		{"no addresses", query("demo.local.", dns.TypeA, dns.ClassINET), 8, true, 0, true, 0, 0, false, false},
	} {
		payload, err := test.query.Pack()
		if err != nil {
			t.Fatal(err)
		}
		answer, unicast := r.answer(payload, test.ifindex, test.legacy)
		if (answer != nil) != (test.answers > 0) {
			t.Errorf("%s: answer %v", test.name, answer)
		}
		if answer == nil {
			continue
		}
		var m dns.Msg
		if err := m.Unpack(answer); err != nil {
			t.Fatal(err)
		}
		if len(m.Answer) != test.answers || unicast != test.unicast || m.Id != test.id || (len(m.Question) > 0) != test.repeats {
			t.Errorf("%s: unicast %t\n%v", test.name, unicast, &m)
		}
		for _, rr := range m.Answer {
			if h := rr.Header(); h.Ttl != test.ttl || (h.Class&classTopBit != 0) != test.flush {
				t.Errorf("%s: %v", test.name, rr)
			}
		}
	}
}

func TestBadNames(t *testing.T) {
	for _, test := range []struct {
		host, service string
		port          uint
	}{
		{"", "_http._tcp", 80},
		{"a.b", "_http._tcp", 80},
		{`a\b`, "_http._tcp", 80},
		{strings.Repeat("a", 64), "_http._tcp", 80},
		{"a", "", 80},
		{"a", "http", 80},
		{"a", "_http._sctp", 80},
		{"a", "_http._tcp", 0},
		{"a", "_http._tcp", 65536},
	} {
		if _, err := newResponder(test.host, test.service, test.port); err == nil {
			t.Errorf("%+v is accepted", test)
		}
	}
}

// An answer is never answered, whatever arrives.
func FuzzAnswer(f *testing.F) {
	valid, _ := query("demo.local.", dns.TypeANY, dns.ClassINET).Pack()
	f.Add(valid)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := &responder{"demo.local.", "_http._tcp.local.", 80, func(int) []net.Addr { return []net.Addr{&net.IPNet{IP: net.IPv4(192, 0, 2, 1)}} }}
		answer, _ := r.answer(payload, 7, true)
		if again, _ := r.answer(answer, 7, true); again != nil {
			t.Errorf("answer to %q is answered", answer)
		}
	})
}
