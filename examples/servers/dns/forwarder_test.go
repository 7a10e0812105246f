package main

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// ask returns what a server at an address answers to a payload, or nil.
func ask(t *testing.T, network *datagramtest.Network, payload []byte) *dns.Msg {
	t.Helper()
	client, err := network.Dial(t.Context(), "udp", "10.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Send(t.Context(), datagram.Datagram{Payload: payload}); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-client.Recv():
		m := new(dns.Msg)
		if err := m.Unpack(d.Payload); err != nil {
			t.Fatal(err)
		}
		return m
	case <-time.After(time.Minute):
		return nil
	}
}

// forward runs a forwarder on a simulated network, whose other server is a function.
func forward(t *testing.T, network *datagramtest.Network, answer func(query *dns.Msg) []*dns.Msg) {
	t.Helper()
	other, err := network.Listen(t.Context(), "udp", "10.0.0.2:53")
	if err != nil {
		t.Fatal(err)
	}
	up, err := network.Dial(t.Context(), "udp", "10.0.0.2:53")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := network.Listen(t.Context(), "udp", "10.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	f := newForwarder(conn.Send, newUpstream(up), 10, func(error) {})
	go f.upstream.listen()
	go func() { _ = conn.Serve(t.Context(), f.handle) }()
	go func() {
		for d := range other.Recv() {
			query := new(dns.Msg)
			if err := query.Unpack(d.Payload); err != nil {
				t.Error(err)
			}
			for _, m := range answer(query) {
				payload, err := m.Pack()
				if err != nil {
					t.Error(err)
				}
				_ = other.Send(t.Context(), d.Reply(payload))
			}
			d.Release()
		}
	}()
	t.Cleanup(func() { conn.Close(); f.asking.Wait(); up.Close(); other.Close() })
}

func question(t *testing.T) []byte {
	t.Helper()
	payload, err := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func address(query *dns.Msg, text string) *dns.Msg {
	m := new(dns.Msg).SetReply(query)
	rr, err := dns.NewRR(query.Question[0].Name + " 300 IN A " + text)
	if err != nil {
		panic(err)
	}
	m.Answer = []dns.RR{rr}
	return m
}

// Answers to other questions, with other IDs, and what is no answer do not count.
func TestForgedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Millisecond})
		defer network.Close()
		forward(t, network, func(query *dns.Msg) []*dns.Msg {
			otherID, otherName, noAnswer := address(query, "192.0.2.66"), address(query, "192.0.2.66"), address(query, "192.0.2.66")
			otherID.Id++
			otherName.Question = []dns.Question{{Name: "bank.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
			noAnswer.Response = false
			return []*dns.Msg{otherID, otherName, noAnswer, address(query, "192.0.2.1")}
		})
		m := ask(t, network, question(t))
		if m == nil || len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != "192.0.2.1" {
			t.Errorf("answer %v", m)
		}
	})
}

// A question that is repeated under other IDs gets these, and what is left of the lifetime.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		var asked atomic.Int64
		forward(t, network, func(query *dns.Msg) []*dns.Msg { asked.Add(1); return []*dns.Msg{address(query, "192.0.2.1")} })
		payload, start := question(t), time.Now()
		for i := range 12 {
			payload[0], payload[1] = byte(i), 7
			time.Sleep(time.Until(start.Add(time.Duration(i) * 300 * time.Millisecond)))
			m := ask(t, network, payload)
			if m == nil || m.Id != uint16(i)<<8|7 || len(m.Answer) != 1 {
				t.Fatalf("answer %v", m)
			}
			if ttl, want := m.Answer[0].Header().Ttl, 300-uint32(i*300/1000); ttl != want {
				t.Errorf("after %d ms: TTL %d, want %d", i*300, ttl, want)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("the other server was asked %d times", asked.Load())
		}
	})
}

// A server that is silent makes the answer fail, after all tries.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Millisecond})
		defer network.Close()
		var asked atomic.Int64
		forward(t, network, func(*dns.Msg) []*dns.Msg { asked.Add(1); return nil })
		start := time.Now()
		m := ask(t, network, question(t))
		if m == nil || m.Rcode != dns.RcodeServerFailure || int(asked.Load()) != len(tries) {
			t.Errorf("answer %v after %d questions", m, asked.Load())
		}
		if took := time.Since(start); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Answers and noise are not answered.
func TestNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		forward(t, network, func(query *dns.Msg) []*dns.Msg { return []*dns.Msg{address(query, "192.0.2.1")} })
		answer, err := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)).Pack()
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range [][]byte{{}, []byte("short"), answer} {
			if m := ask(t, network, payload); m != nil {
				t.Errorf("% x is answered: %v", payload, m)
			}
		}
	})
}
