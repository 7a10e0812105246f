package prometheus_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"example.com/datagram"
	"example.com/datagram/exporters/prometheus"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// fixed is a source whose counters do not change.
type fixed datagram.Stats

func (f fixed) Stats() datagram.Stats { return datagram.Stats(f) }

// fixedSessions is a listener whose counters do not change.
type fixedSessions session.Stats

func (f fixedSessions) Stats() session.Stats { return session.Stats(f) }

// ofHandle returns a collector of one source, the handle "test".
func ofHandle(t *testing.T, s datagram.Stats) *prometheus.Collector {
	t.Helper()
	collector := prometheus.NewCollector()
	if err := collector.Add("test", fixed(s)); err != nil {
		t.Fatal(err)
	}
	return collector
}

// ofListener returns a collector of one listener, "test".
func ofListener(t *testing.T, s session.Stats) *prometheus.Collector {
	t.Helper()
	collector := prometheus.NewCollector()
	if err := collector.AddListener("test", fixedSessions(s)); err != nil {
		t.Fatal(err)
	}
	return collector
}

// collect returns the metrics of a collector of a test, which all have the label kind, as values by
// name and reason.
func collect(t *testing.T, collector *prometheus.Collector, kind string) map[string]float64 {
	t.Helper()
	registry := client.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			labels := make(map[string]string)
			for _, label := range m.Label {
				labels[label.GetName()] = label.GetValue()
			}
			if labels[kind] != "test" {
				t.Errorf("%s: %s %q", name, kind, labels[kind])
			}
			delete(labels, kind)
			for label, value := range labels {
				name += "{" + label + "=" + value + "}"
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestEveryFieldIsExported(t *testing.T) {
	t.Run("handle", func(t *testing.T) { everyFieldIsExported(t, ofHandle, "handle") })
	t.Run("listener", func(t *testing.T) { everyFieldIsExported(t, ofListener, "listener") })
}

// everyFieldIsExported checks that each field of S is exported once, and that nothing else is.
func everyFieldIsExported[S any](t *testing.T, collectorOf func(*testing.T, S) *prometheus.Collector, kind string) {
	stats := reflect.TypeFor[S]()
	fields := stats.NumField()
	exported := make(map[string]string)
	for i := range fields {
		var s S
		field := stats.Field(i).Name
		reflect.ValueOf(&s).Elem().Field(i).SetUint(42)
		found := 0
		for name, value := range collect(t, collectorOf(t, s), kind) {
			switch {
			case value == 42:
				found++
				exported[name] = field
			case value != 0:
				t.Errorf("%s: %s is %v", field, name, value)
			}
		}
		if found != 1 {
			t.Errorf("%s is exported as %d metrics, want 1", field, found)
		}
	}
	var none S
	if all := collect(t, collectorOf(t, none), kind); len(all) != fields || len(exported) != fields {
		t.Errorf("%d metrics, %d of them fields; want %d", len(all), len(exported), fields)
	}
}

func TestNamesAreConventional(t *testing.T) {
	collector := ofHandle(t, datagram.Stats{})
	if err := collector.AddListener("test", fixedSessions{}); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.CollectAndLint(collector)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// scrape returns what Prometheus gets from a collector.
func scrape(collector *prometheus.Collector) string {
	registry := client.NewPedanticRegistry()
	registry.MustRegister(collector)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return answer.Body.String()
}

func expectLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

// A scrape shows what two real handles have done, and a removed one no more.
func TestScrape(t *testing.T) {
	server := conntest.Loopback(t)
	peer := conntest.Dial(t, server)
	collector := prometheus.NewCollector()
	if err := errors.Join(collector.Add("server", server), collector.Add("peer", peer)); err != nil {
		t.Fatal(err)
	}
	if err := peer.Send(t.Context(), datagram.Datagram{Payload: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	(<-server.Recv()).Release()
	if err := peer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectLines(t, scrape(collector),
		`datagram_sent_datagrams_total{handle="peer"} 1`,
		`datagram_sent_bytes_total{handle="peer"} 5`,
		`datagram_received_datagrams_total{handle="server"} 1`,
		`datagram_dropped_datagrams_total{handle="server",reason="kernel"} 0`,
	)
	collector.Remove("peer")
	if text := scrape(collector); strings.Contains(text, `"peer"`) || !strings.Contains(text, `"server"`) {
		t.Errorf("after Remove:\n%s", text)
	}
}

// A scrape shows the sessions of a real listener, and those of a removed one no more.
func TestScrapeOfSessions(t *testing.T) {
	handle := conntest.Loopback(t)
	asked := make(chan struct{}, 1)
	listener, err := session.Listen(session.Config{Admit: func(d datagram.Datagram) bool {
		asked <- struct{}{}
		return string(d.Payload) != "refused"
	}}, handle)
	if err != nil {
		t.Fatal(err)
	}
	collector := prometheus.NewCollector()
	// The names of handles and listeners do not clash.
	if err := errors.Join(collector.Add("server", handle), collector.AddListener("server", listener)); err != nil {
		t.Fatal(err)
	}
	send := func(payload string) {
		if err := conntest.Dial(t, handle).Send(t.Context(), datagram.Datagram{Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
		<-asked
	}
	accept := func() net.Conn {
		c, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	send("refused")
	send("hello")
	c := accept()
	defer c.Close()
	conntest.ExpectRead(t, c, "hello")
	send("unread")
	accept().Close()
	expectLines(t, scrape(collector),
		`datagram_sessions{listener="server"} 1`,
		`datagram_sessions_opened_total{listener="server"} 2`,
		`datagram_sessions_ended_total{listener="server",reason="close"} 1`,
		`datagram_sessions_ended_total{listener="server",reason="idle"} 0`,
		`datagram_session_refused_datagrams_total{listener="server",reason="admit"} 1`,
		`datagram_session_received_datagrams_total{listener="server"} 2`,
		`datagram_session_delivered_datagrams_total{listener="server"} 1`,
		`datagram_session_dropped_datagrams_total{listener="server",reason="end"} 1`,
		`datagram_received_datagrams_total{handle="server"} 3`,
	)
	collector.RemoveListener("server")
	if text := scrape(collector); strings.Contains(text, `listener="server"`) || !strings.Contains(text, `handle="server"`) {
		t.Errorf("after RemoveListener:\n%s", text)
	}
}

func TestBadSources(t *testing.T) {
	collector := ofHandle(t, datagram.Stats{})
	for _, test := range []struct {
		name   string
		source prometheus.Source
		says   string
	}{
		{"", fixed{}, "name"},
		{"\xff", fixed{}, "UTF-8"},
		{"test", fixed{}, `"test"`},
		{"b", nil, "nil"},
	} {
		if err := collector.Add(test.name, test.source); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("Add(%q, %v): %v, want an error with %q", test.name, test.source, err, test.says)
		}
	}
	collector.Remove("nobody")
	if n := testutil.CollectAndCount(collector, "datagram_sent_datagrams_total"); n != 1 {
		t.Errorf("%d sources after refused ones, want 1", n)
	}
}

func TestBadListeners(t *testing.T) {
	collector := ofListener(t, session.Stats{})
	for _, test := range []struct {
		name     string
		listener prometheus.Listener
		says     string
	}{
		{"", fixedSessions{}, "name"},
		{"\xff", fixedSessions{}, "UTF-8"},
		{"test", fixedSessions{}, `"test"`},
		{"b", nil, "nil"},
	} {
		if err := collector.AddListener(test.name, test.listener); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("AddListener(%q, %v): %v, want an error with %q", test.name, test.listener, err, test.says)
		}
	}
	collector.RemoveListener("nobody")
	if n := testutil.CollectAndCount(collector, "datagram_sessions"); n != 1 {
		t.Errorf("%d listeners after refused ones, want 1", n)
	}
}
