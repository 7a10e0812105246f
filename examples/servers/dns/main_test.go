package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// An authority is the other server: one that does not use this package.
type authority struct {
	address string
	asked   atomic.Int64 // questions
	again   atomic.Int64 // repetitions of them
	drop    atomic.Int64 // so many questions are not answered
	seen    sync.Map
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{address: conn.LocalAddr().String()}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(a.answer), NotifyStartedFunc: func() { close(started) }}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return a
}

// answer answers every name below example.org. The first label says with what.
func (a *authority) answer(w dns.ResponseWriter, query *dns.Msg) {
	type question struct {
		id uint16
		dns.Question
	}
	if _, again := a.seen.LoadOrStore(question{query.Id, query.Question[0]}, true); again {
		a.again.Add(1)
	} else {
		a.asked.Add(1)
	}
	if a.drop.Add(-1) >= 0 {
		return
	}
	m := new(dns.Msg).SetReply(query)
	name := query.Question[0].Name
	record := func(text string, arguments ...any) dns.RR {
		rr, err := dns.NewRR(fmt.Sprintf(text, arguments...))
		if err != nil {
			panic(err)
		}
		return rr
	}
	switch label, _, _ := strings.Cut(name, "."); label {
	case "missing":
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, record("example.org. 300 IN SOA ns.example.org. me.example.org. 1 2 3 4 60"))
	case "failing":
		m.Rcode = dns.RcodeServerFailure
	case "long":
		for i := range 40 {
			m.Answer = append(m.Answer, record("%s 300 IN A 192.0.2.%d", name, i))
		}
	case "brief":
		m.Answer = append(m.Answer, record("%s 0 IN A 192.0.2.1", name))
	default:
		m.Answer = append(m.Answer, record("%s 300 IN A 192.0.2.1", name))
	}
	_ = w.WriteMsg(m)
}

func start(t *testing.T, up string, args ...string) (server *program.Process, host, port string) {
	t.Helper()
	server = program.Start(t, program.Build(t), append(append([]string{"-listen", "127.0.0.1:0"}, args...), up)...)
	host, port, err := net.SplitHostPort(server.After("listening on "))
	if err != nil {
		t.Fatal(err)
	}
	return server, host, port
}

func stop(t *testing.T, server *program.Process) {
	t.Helper()
	server.Signal(syscall.SIGTERM)
	if out, code := server.Wait(); code != 0 || out != "" {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestDig(t *testing.T) {
	dig := testenv.Program(t, "dig")
	up := newAuthority(t)
	server, host, port := start(t, up.address)
	for _, test := range []struct {
		question string
		want     []string
		asked    int64 // how often the other server has been asked afterwards
	}{
		{"www.example.org", []string{"NOERROR", "192.0.2.1"}, 1},
		{"www.example.org", []string{"NOERROR", "192.0.2.1"}, 1},
		{"WWW.Example.org", []string{"NOERROR", "WWW.Example.org.", "192.0.2.1"}, 1},
		{"www.example.org AAAA", []string{"NOERROR"}, 2},
		{"www.example.org +dnssec", []string{"NOERROR", "flags: do"}, 3},
		{"www.example.org +noedns", []string{"NOERROR", "ADDITIONAL: 0"}, 3},
		{"missing.example.org", []string{"NXDOMAIN", "SOA"}, 4},
		{"missing.example.org", []string{"NXDOMAIN", "SOA"}, 4},
		{"failing.example.org", []string{"SERVFAIL"}, 5},
		{"failing.example.org", []string{"SERVFAIL"}, 6},
		{"brief.example.org", []string{"192.0.2.1"}, 7},
		{"brief.example.org", []string{"192.0.2.1"}, 8},
		{"long.example.org", []string{"192.0.2.39"}, 9},
		{"long.example.org +noedns", []string{"flags: qr tc"}, 9},
		{"www.example.org +opcode=STATUS", []string{"NOTIMP"}, 9},
		{"www.example.org +header-only", []string{"FORMERR"}, 9},
	} {
		args := append(strings.Fields(test.question), "@"+host, "-p", port, "+tries=1", "+timeout=20", "+ignore")
		out, code := program.Run(t, "", dig, args...)
		for _, want := range test.want {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("dig %s: exit code %d, no %q in\n%s", test.question, code, want, out)
			}
		}
		if asked := up.asked.Load(); asked != test.asked {
			t.Errorf("after dig %s the other server has been asked %d times, want %d", test.question, asked, test.asked)
		}
	}
	stop(t, server)
}

// The server asks again when a question or an answer was lost.
func TestRetry(t *testing.T) {
	dig := testenv.Program(t, "dig")
	up := newAuthority(t)
	up.drop.Store(1)
	server, host, port := start(t, up.address)
	out, code := program.Run(t, "", dig, "www.example.org", "@"+host, "-p", port, "+tries=1", "+timeout=20", "+short")
	if code != 0 || out != "192.0.2.1\n" || up.asked.Load() != 1 || up.again.Load() == 0 {
		t.Errorf("exit code %d, %d questions and %d repetitions, %q", code, up.asked.Load(), up.again.Load(), out)
	}
	stop(t, server)
}

// What was asked before a signal is answered.
func TestNothingIsLost(t *testing.T) {
	up := newAuthority(t)
	up.drop.Store(1)
	server, host, port := start(t, up.address)
	conn, err := net.Dial("udp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	question, err := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(question); err != nil {
		t.Fatal(err)
	}
	for up.asked.Load() == 0 { // the answer is lost, and the server waits for another
		if _, err := conn.Write([]byte("no question")); err != nil {
			t.Fatal(err)
		}
	}
	server.Signal(syscall.SIGTERM)
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	var m dns.Msg
	if err != nil || m.Unpack(answer[:n]) != nil || len(m.Answer) != 1 {
		t.Errorf("answer %v, %v", &m, err)
	}
	if out, code := server.Wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestDnsperf(t *testing.T) {
	dnsperf := testenv.Program(t, "dnsperf")
	up := newAuthority(t)
	server, host, port := start(t, up.address)
	var questions strings.Builder
	for i := range 50 {
		fmt.Fprintf(&questions, "host%d.example.org A\n", i)
	}
	file := filepath.Join(t.TempDir(), "questions")
	if err := os.WriteFile(file, []byte(questions.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := program.Run(t, "", dnsperf, "-s", host, "-p", port, "-d", file, "-n", "20", "-t", "20", "-c", "4")
	if code != 0 || !strings.Contains(out, "Queries completed:    1000 (100.00%)") || !strings.Contains(out, "NOERROR 1000") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if asked := up.asked.Load(); asked != 50 {
		t.Errorf("the other server was asked %d times about 50 names", asked)
	}
	stop(t, server)
}
