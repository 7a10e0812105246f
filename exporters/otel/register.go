// Package otel exports the counters of datagram handles and of session listeners
// to OpenTelemetry.
//
//	registration, err := otel.Register(provider, "dns", conn)
//	if err != nil {
//		return err
//	}
//	defer registration.Unregister()
package otel

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"example.com/datagram"
	"example.com/datagram/session"
)

// Scope is the name of the meter that measures handles and listeners.
const Scope = "example.com/datagram/exporters/otel"

// A Source has counters to export. A [*datagram.Conn] is one, and so is a
// [*datagram.Group].
type Source interface{ Stats() datagram.Stats }

// A Listener has counters of sessions to export. A [*session.Listener] is one.
type Listener interface{ Stats() session.Stats }

// Register exports the counters of a source until Unregister is called on the
// result, which also lets go of the source. Each measurement has the attribute
// "datagram.handle", which is the name, and the given ones. All measurements of
// a source are from one snapshot, so they add up as those of [datagram.Stats]
// do.
//
// No semantic convention covers sockets, so names and attributes follow those
// of network interfaces ("system.network.packet.count"): one metric for both
// directions, with the attribute "network.io.direction".
func Register(provider metric.MeterProvider, name string, source Source, attributes ...attribute.KeyValue) (metric.Registration, error) {
	if source == nil {
		return nil, errors.New("otel: nil source")
	}
	return register(provider, handleInstruments, handleFields, source.Stats, "datagram.handle", name, attributes)
}

// RegisterListener exports the counters of a listener, like Register those of a
// source. The attribute with the name is "datagram.listener". The handles of
// the listener have counters of their own: see Register.
func RegisterListener(provider metric.MeterProvider, name string, listener Listener, attributes ...attribute.KeyValue) (metric.Registration, error) {
	if listener == nil {
		return nil, errors.New("otel: nil listener")
	}
	return register(provider, sessionInstruments, sessionFields, listener.Stats, "datagram.listener", name, attributes)
}

func register[S any](
	provider metric.MeterProvider, instruments []instrument, fields []field[S], stats func() S,
	key, name string, attributes []attribute.KeyValue,
) (metric.Registration, error) {
	switch {
	case provider == nil:
		return nil, errors.New("otel: nil meter provider")
	case name == "":
		return nil, errors.New("otel: no name for " + key)
	}
	meter := provider.Meter(Scope)
	byName := make(map[string]metric.Int64Observable)
	var observed []metric.Observable
	for _, i := range instruments {
		observable, err := i.create(meter, i.name, i.description, i.unit)
		if err != nil {
			return nil, err
		}
		byName[i.name] = observable
		observed = append(observed, observable)
	}

	common := append([]attribute.KeyValue{attribute.String(key, name)}, attributes...)
	options := make([]metric.ObserveOption, len(fields))
	for i, f := range fields {
		all := append(slices.Clip(common), f.attributes...)
		options[i] = metric.WithAttributeSet(attribute.NewSet(all...))
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := stats()
		for i, f := range fields {
			o.ObserveInt64(byName[f.instrument], int64(f.value(&s)), options[i])
		}
		return nil
	}, observed...)
}
