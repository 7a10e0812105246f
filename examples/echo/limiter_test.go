package main

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	const rate = 5
	l := newLimiter(rate)
	now := time.Now()
	allowed := func(source string) (n int) {
		for range 100 {
			if l.allows(netip.MustParseAddr(source), now) {
				n++
			}
		}
		return n
	}
	// Test one network after the other, so that none finds an empty bucket because another one
	// hashes alike.
	for i, addresses := range [][2]string{{"192.0.2.1", "192.0.2.200"}, {"2001:db8::1", "2001:db8:0:ff::2"}, {"fe80::1%lo", "fe80::1"}} {
		now = now.Add(time.Hour)
		if n := allowed(addresses[0]); n != rate {
			t.Errorf("%s: %d answers at once, want %d", addresses[0], n, rate)
		}
		if n := allowed(addresses[1]); n != 0 {
			t.Errorf("%s: %d answers, want none: the network has had its share", addresses[1], n)
		}
		now = now.Add(2 * time.Second / rate)
		if n := allowed(addresses[0]); n != 2 {
			t.Errorf("%s: %d answers a little later, want 2", addresses[0], n)
		}
		if want := uint64(i+1) * (100 - rate + 100 + 98); l.refused != want {
			t.Errorf("%d refused, want %d", l.refused, want)
		}
	}
	// Forged sources share the buckets.
	total := 0
	now = now.Add(time.Hour)
	for i := range 100_000 {
		if l.allows(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}), now) {
			total++
		}
	}
	if most := rate * len(l.buckets); total > most {
		t.Errorf("%d answers to forged sources, want at most %d", total, most)
	}
}

// A client that asks too often gets as many answers as -rate allows.
func TestRate(t *testing.T) {
	server, listening := start(t, "-verbose", "-rate=0.001", "127.0.0.1:0") // the second answer is a quarter of an hour away
	client, err := net.Dial("udp", listening[0])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const asked = 10
	for range asked {
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	for range asked {
		server.Line() // the request has arrived
	}
	if out := stop(t, server, syscall.SIGTERM); !strings.Contains(out, "answered 1, failed 0, refused 9;") {
		t.Errorf("it printed\n%s", out)
	}
}
