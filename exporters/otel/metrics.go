package otel

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"example.com/datagram"
	"example.com/datagram/session"
)

// An instrument measures one or more fields, which differ in attributes.
type instrument struct {
	create                  func(meter metric.Meter, name, description, unit string) (metric.Int64Observable, error)
	name, unit, description string
}

var handleInstruments = []instrument{
	{counter, "datagram.count", "{datagram}", "Datagrams that the system accepted, and that were taken from it."},
	{counter, "datagram.io", "By", "Payload of sent and of received datagrams."},
	{counter, "datagram.errors", "{error}", "Datagrams that failed, and errors after which receiving continued."},
	{counter, "datagram.calls", "{call}", "System calls that moved datagrams."},
	{counter, "datagram.dropped", "{datagram}", "Datagrams that were dropped before the program got them."},
	{counter, "datagram.accepted", "{datagram}", "Datagrams accepted for sending."},
	{counter, "datagram.delivered", "{datagram}", "Received datagrams that the program got."},
	{counter, "datagram.truncated", "{datagram}", "Delivered datagrams that were longer than the handle receives."},
	{counter, "datagram.unreported_errors", "{error}", "Errors that the error handler was too slow to get."},
	{counter, "datagram.retries", "{retry}", "Sends that the handle retried by itself."},
	{counter, "datagram.buffer_shortages", "{shortage}", "Sends for which the system had no buffer (ENOBUFS)."},
	{counter, "datagram.segmentation_fallbacks", "{batch}", "Batches that were sent one datagram at a time, since the system refused to segment them."},
	{level, "datagram.queued", "{datagram}", "Accepted datagrams that the system has not yet answered for."},
	{level, "datagram.held", "{datagram}", "Received datagrams not yet delivered or dropped."},
}

var sessionInstruments = []instrument{
	{level, "datagram.session.count", "{session}", "Sessions that are open, with those that wait for Accept."},
	{counter, "datagram.session.opened", "{session}", "Sessions that were opened."},
	{counter, "datagram.session.ended", "{session}", "Sessions that ended, by idleness or because they were closed."},
	{counter, "datagram.session.refused", "{datagram}", "Datagrams of new peers for which no session was opened."},
	{counter, "datagram.session.received", "{datagram}", "Datagrams of sessions, the first of each included."},
	{counter, "datagram.session.delivered", "{datagram}", "Datagrams of sessions that the program got."},
	{counter, "datagram.session.dropped", "{datagram}", "Datagrams of sessions that were dropped before the program got them."},
	{level, "datagram.session.held", "{datagram}", "Datagrams of sessions that wait for their readers."},
}

var (
	// The values of the semantic conventions (registry/attributes/network).
	transmit = []attribute.KeyValue{attribute.String("network.io.direction", "transmit")}
	receive  = []attribute.KeyValue{attribute.String("network.io.direction", "receive")}
)

// A field is one of the counters S, and what measures it.
type field[S any] struct {
	instrument string
	attributes []attribute.KeyValue
	value      func(*S) uint64
}

var handleFields = []field[datagram.Stats]{
	{"datagram.count", transmit, func(s *datagram.Stats) uint64 { return s.Sent }},
	{"datagram.count", receive, func(s *datagram.Stats) uint64 { return s.Received }},
	{"datagram.io", transmit, func(s *datagram.Stats) uint64 { return s.SentBytes }},
	{"datagram.io", receive, func(s *datagram.Stats) uint64 { return s.ReceivedBytes }},
	{"datagram.errors", transmit, func(s *datagram.Stats) uint64 { return s.SendErrors }},
	{"datagram.errors", receive, func(s *datagram.Stats) uint64 { return s.ReceiveErrors }},
	{"datagram.calls", transmit, func(s *datagram.Stats) uint64 { return s.SendCalls }},
	{"datagram.calls", receive, func(s *datagram.Stats) uint64 { return s.ReceiveCalls }},
	{"datagram.dropped", reason("drop", "kernel"), func(s *datagram.Stats) uint64 { return s.KernelDrops }},
	{"datagram.dropped", reason("drop", "policy"), func(s *datagram.Stats) uint64 { return s.PolicyDrops }},
	{"datagram.dropped", reason("drop", "stale"), func(s *datagram.Stats) uint64 { return s.StaleDrops }},
	{"datagram.dropped", reason("drop", "close"), func(s *datagram.Stats) uint64 { return s.CloseDrops }},
	{"datagram.accepted", nil, func(s *datagram.Stats) uint64 { return s.Accepted }},
	{"datagram.delivered", nil, func(s *datagram.Stats) uint64 { return s.Delivered }},
	{"datagram.truncated", nil, func(s *datagram.Stats) uint64 { return s.Truncated }},
	{"datagram.unreported_errors", nil, func(s *datagram.Stats) uint64 { return s.UnreportedErrors }},
	{"datagram.retries", nil, func(s *datagram.Stats) uint64 { return s.Retries }},
	{"datagram.buffer_shortages", nil, func(s *datagram.Stats) uint64 { return s.NoBuffers }},
	{"datagram.segmentation_fallbacks", nil, func(s *datagram.Stats) uint64 { return s.Fallbacks }},
	{"datagram.queued", nil, func(s *datagram.Stats) uint64 { return s.Queued }},
	{"datagram.held", nil, func(s *datagram.Stats) uint64 { return s.Held }},
}

var sessionFields = []field[session.Stats]{
	{"datagram.session.count", nil, func(s *session.Stats) uint64 { return s.Sessions }},
	{"datagram.session.opened", nil, func(s *session.Stats) uint64 { return s.Opened }},
	{"datagram.session.ended", reason("end", "idle"), func(s *session.Stats) uint64 { return s.Idled }},
	{"datagram.session.ended", reason("end", "close"), func(s *session.Stats) uint64 { return s.Closed }},
	{"datagram.session.refused", reason("refusal", "backlog"), func(s *session.Stats) uint64 { return s.RefusedBacklog }},
	{"datagram.session.refused", reason("refusal", "max_sessions"), func(s *session.Stats) uint64 { return s.RefusedMax }},
	{"datagram.session.refused", reason("refusal", "admit"), func(s *session.Stats) uint64 { return s.RefusedAdmit }},
	{"datagram.session.refused", reason("refusal", "close"), func(s *session.Stats) uint64 { return s.RefusedClosed }},
	{"datagram.session.received", nil, func(s *session.Stats) uint64 { return s.Received }},
	{"datagram.session.delivered", nil, func(s *session.Stats) uint64 { return s.Delivered }},
	{"datagram.session.dropped", reason("drop", "queue"), func(s *session.Stats) uint64 { return s.Dropped }},
	{"datagram.session.dropped", reason("drop", "end"), func(s *session.Stats) uint64 { return s.Discarded }},
	{"datagram.session.held", nil, func(s *session.Stats) uint64 { return s.Held }},
}

// reason returns the attribute that says why something happened.
func reason(what, why string) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("datagram."+what+".reason", why)}
}

func counter(meter metric.Meter, name, description, unit string) (metric.Int64Observable, error) {
	return meter.Int64ObservableCounter(name, metric.WithDescription(description), metric.WithUnit(unit))
}

// level creates an instrument for what rises and falls and can be summed over
// handles, which the conventions measure with an UpDownCounter.
func level(meter metric.Meter, name, description, unit string) (metric.Int64Observable, error) {
	return meter.Int64ObservableUpDownCounter(name, metric.WithDescription(description), metric.WithUnit(unit))
}
