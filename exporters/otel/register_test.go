package otel_test

import (
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"example.com/datagram"
	"example.com/datagram/exporters/otel"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixed is a source whose counters do not change.
type fixed datagram.Stats

func (f fixed) Stats() datagram.Stats { return datagram.Stats(f) }

// fixedSessions is a listener whose counters do not change.
type fixedSessions session.Stats

func (f fixedSessions) Stats() session.Stats { return session.Stats(f) }

// A meters is a provider whose measurements a test reads.
type meters struct {
	*sdk.MeterProvider
	reader *sdk.ManualReader
}

func newMeters(t *testing.T) meters {
	t.Helper()
	reader := sdk.NewManualReader()
	m := meters{sdk.NewMeterProvider(sdk.WithReader(reader)), reader}
	t.Cleanup(func() { _ = m.Shutdown(t.Context()) })
	return m
}

// collect returns the values by name and attributes.
func (m meters) collect(t *testing.T) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := m.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		if scope.Scope.Name != otel.Scope {
			t.Errorf("scope %q", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || m.Unit == "" || m.Description == "" {
				t.Errorf("%s is a %T with unit %q and description %q", m.Name, m.Data, m.Unit, m.Description)
			}
			for _, point := range sum.DataPoints {
				values[m.Name+" "+point.Attributes.Encoded(attribute.DefaultEncoder())] = point.Value
			}
		}
	}
	return values
}

func register(t *testing.T, m metric.MeterProvider, name string, s otel.Source, attributes ...attribute.KeyValue) metric.Registration {
	t.Helper()
	r, err := otel.Register(m, name, s, attributes...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func registerListener(t *testing.T, m metric.MeterProvider, name string, l otel.Listener) metric.Registration {
	t.Helper()
	r, err := otel.RegisterListener(m, name, l)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryFieldIsExported(t *testing.T) {
	t.Run("handle", func(t *testing.T) {
		everyFieldIsExported(t, func(m meters, s datagram.Stats) { register(t, m, "test", fixed(s)) })
	})
	t.Run("listener", func(t *testing.T) {
		everyFieldIsExported(t, func(m meters, s session.Stats) { registerListener(t, m, "test", fixedSessions(s)) })
	})
}

// everyFieldIsExported checks that each field of S is exported once, and that nothing else is.
func everyFieldIsExported[S any](t *testing.T, register func(m meters, s S)) {
	stats := reflect.TypeFor[S]()
	exported := make(map[string]string)
	for i := range stats.NumField() {
		var s S
		reflect.ValueOf(&s).Elem().Field(i).SetUint(42)
		m := newMeters(t)
		register(m, s)
		found := 0
		for name, value := range m.collect(t) {
			if value == 42 {
				found++
				exported[name] = stats.Field(i).Name
			} else if value != 0 {
				t.Errorf("%s: %s is %d", stats.Field(i).Name, name, value)
			}
		}
		if found != 1 {
			t.Errorf("%s is exported as %d measurements, want 1", stats.Field(i).Name, found)
		}
	}
	m := newMeters(t)
	var none S
	register(m, none)
	if all := m.collect(t); len(all) != stats.NumField() || len(exported) != stats.NumField() {
		t.Errorf("%d measurements, %d of them fields; want %d", len(all), len(exported), stats.NumField())
	}
}

// expect checks some of the values.
func (m meters) expect(t *testing.T, want map[string]int64) {
	t.Helper()
	values := m.collect(t)
	for name, want := range want {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// expectNone checks that what was unregistered is measured no more.
func (m meters) expectNone(t *testing.T, attribute string) {
	t.Helper()
	for name := range m.collect(t) {
		if strings.Contains(name, attribute) {
			t.Errorf("after Unregister: %s", name)
		}
	}
}

// Two real handles share the instruments; an unregistered one is measured no more.
func TestHandles(t *testing.T) {
	server := conntest.Loopback(t)
	peer := conntest.Dial(t, server)
	m := newMeters(t)
	register(t, m, "server", server)
	registration := register(t, m, "peer", peer, attribute.String("network.transport", "udp"))
	if err := peer.Send(t.Context(), datagram.Datagram{Payload: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	(<-server.Recv()).Release()
	if err := peer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.expect(t, map[string]int64{
		"datagram.count datagram.handle=peer,network.io.direction=transmit,network.transport=udp": 1,
		"datagram.io datagram.handle=peer,network.io.direction=transmit,network.transport=udp":    5,
		"datagram.count datagram.handle=server,network.io.direction=receive":                      1,
	})
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	m.expectNone(t, "datagram.handle=peer")
}

// A real listener is measured beside its handle, and an unregistered one no more.
func TestListener(t *testing.T) {
	handle := conntest.Loopback(t)
	listener, err := session.Listen(session.Config{}, handle)
	if err != nil {
		t.Fatal(err)
	}
	m := newMeters(t)
	register(t, m, "server", handle)
	registration := registerListener(t, m, "server", listener)
	if err := conntest.Dial(t, handle).Send(t.Context(), datagram.Datagram{Payload: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close() // the datagram is not read
	m.expect(t, map[string]int64{
		"datagram.session.count datagram.listener=server":                              0,
		"datagram.session.opened datagram.listener=server":                             1,
		"datagram.session.ended datagram.end.reason=close,datagram.listener=server":    1,
		"datagram.session.received datagram.listener=server":                           1,
		"datagram.session.dropped datagram.drop.reason=end,datagram.listener=server":   1,
		"datagram.session.dropped datagram.drop.reason=queue,datagram.listener=server": 0,
		"datagram.count datagram.handle=server,network.io.direction=receive":           1,
	})
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	m.expectNone(t, "datagram.listener")
}

func TestBadArguments(t *testing.T) {
	m := newMeters(t)
	for _, test := range []struct {
		provider metric.MeterProvider
		name     string
		source   otel.Source
		says     string
	}{
		{nil, "a", fixed{}, "provider"},
		{m, "", fixed{}, "name"},
		{m, "a", nil, "source"},
	} {
		if _, err := otel.Register(test.provider, test.name, test.source); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("Register(%v, %q, %v): %v, want an error with %q", test.provider, test.name, test.source, err, test.says)
		}
	}
	for _, test := range []struct {
		provider metric.MeterProvider
		name     string
		listener otel.Listener
		says     string
	}{
		{nil, "a", fixedSessions{}, "provider"},
		{m, "", fixedSessions{}, "name"},
		{m, "a", nil, "listener"},
	} {
		if _, err := otel.RegisterListener(test.provider, test.name, test.listener); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("RegisterListener(%v, %q, %v): %v, want an error with %q", test.provider, test.name, test.listener, err, test.says)
		}
	}
	if values := m.collect(t); len(values) > 0 {
		t.Errorf("refused registrations are measured: %v", values)
	}
}
