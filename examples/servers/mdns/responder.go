package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

const (
	hostTTL     = 120     // seconds, for records with a host name (RFC 6762 section 10)
	otherTTL    = 4500    // for all others
	legacyTTL   = 10      // the most for those who ask as in unicast DNS (section 6.7)
	classTopBit = 1 << 15 // of a question: answer by unicast; of an answer: replaces what is cached
)

// A responder answers for the name of a host, with the addresses of the interface that a question comes to, and for a
// service on it (RFC 6763).
type responder struct {
	name      string // of the host
	service   string // its type, such as "_http._tcp.local."
	port      uint16
	addresses func(ifindex int) []net.Addr
}

func newResponder(host, service string, port uint) (*responder, error) {
	if _, ok := dns.IsDomainName(host); !ok || host == "" || strings.ContainsAny(host, `.\`) {
		return nil, fmt.Errorf("%q cannot be the name of a host", host)
	}
	if kind, protocol, _ := strings.Cut(service, "."); len(kind) < 2 || kind[0] != '_' || protocol != "_udp" && protocol != "_tcp" {
		return nil, fmt.Errorf("service %q is not like _http._tcp", service)
	}
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("port %d is not in 1 to 65535", port)
	}
	return &responder{host + ".local.", service + ".local.", uint16(port), interfaceAddresses}, nil
}

func interfaceAddresses(ifindex int) []net.Addr {
	ifi, err := net.InterfaceByIndex(ifindex)
	if err != nil {
		return nil // it is gone
	}
	addresses, _ := ifi.Addrs()
	return addresses
}

// answer returns the answer to a datagram that came to an interface, or nil, and whether it goes to the sender alone. Who
// asks from another port than that of multicast DNS knows only unicast DNS.
func (r *responder) answer(payload []byte, ifindex int, legacy bool) (answer []byte, unicast bool) {
	var query dns.Msg
	if query.Unpack(payload) != nil || query.Response || query.Opcode != dns.OpcodeQuery {
		return nil, false
	}
	unicast = legacy
	var answers []dns.RR
	for _, rr := range r.records(ifindex) {
		h := rr.Header()
		for _, q := range query.Question {
			if strings.EqualFold(q.Name, h.Name) && (q.Qtype == h.Rrtype || q.Qtype == dns.TypeANY) && q.Qclass&^classTopBit == dns.ClassINET {
				answers = append(answers, rr)
				unicast = unicast || q.Qclass&classTopBit != 0
				break
			}
		}
	}
	if !legacy {
		return pack(&dns.Msg{Answer: answers}), unicast
	}
	for _, rr := range answers {
		h := rr.Header()
		h.Class, h.Ttl = dns.ClassINET, min(h.Ttl, legacyTTL)
	}
	return pack(&dns.Msg{MsgHdr: dns.MsgHdr{Id: query.Id}, Question: query.Question, Answer: answers}), unicast
}

// announcement returns all records, to be sent unasked, or to say goodbye.
func (r *responder) announcement(ifindex int, goodbye bool) []byte {
	all := r.records(ifindex)
	for _, rr := range all {
		if goodbye {
			rr.Header().Ttl = 0 // RFC 6762 section 10.1
		}
	}
	return pack(&dns.Msg{Answer: all})
}

// pack encodes a response if it has an answer: multicast DNS is silent about what it does not know.
func pack(m *dns.Msg) []byte {
	m.Response, m.Authoritative = true, true
	payload, err := m.Pack()
	if err != nil || len(m.Answer) == 0 {
		return nil
	}
	return payload
}

// records returns all that the responder knows, as it is for those who ask on an interface.
func (r *responder) records(ifindex int) []dns.RR {
	// Only one responder has a name, but many may have a service of a type.
	header := func(name string, kind uint16, ttl uint32, unique bool) dns.RR_Header {
		h := dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
		if unique {
			h.Class |= classTopBit
		}
		return h
	}
	instance := strings.TrimSuffix(r.name, "local.") + r.service
	all := []dns.RR{
		&dns.PTR{Hdr: header("_services._dns-sd._udp.local.", dns.TypePTR, otherTTL, false), Ptr: r.service},
		&dns.PTR{Hdr: header(r.service, dns.TypePTR, otherTTL, false), Ptr: instance},
		&dns.SRV{Hdr: header(instance, dns.TypeSRV, hostTTL, true), Port: r.port, Target: r.name},
		&dns.TXT{Hdr: header(instance, dns.TypeTXT, otherTTL, true), Txt: []string{""}},
	}
	for _, address := range r.addresses(ifindex) {
		network, ok := address.(*net.IPNet)
		if !ok {
			continue
		}
		if ip4 := network.IP.To4(); ip4 != nil {
			all = append(all, &dns.A{Hdr: header(r.name, dns.TypeA, hostTTL, true), A: ip4})
		} else {
			all = append(all, &dns.AAAA{Hdr: header(r.name, dns.TypeAAAA, hostTTL, true), AAAA: network.IP})
		}
	}
	return all
}
