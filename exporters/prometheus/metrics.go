package prometheus

import (
	client "github.com/prometheus/client_golang/prometheus"

	"example.com/datagram"
	"example.com/datagram/session"
)

// A metric is one field of the counters S. Fields that are one metric in Prometheus differ in the reason.
type metric[S any] struct {
	kind               client.ValueType
	name, help, reason string
	value              func(*S) uint64
}

func counter[S any](name, help string, value func(*S) uint64) metric[S] {
	return because(name, help, "", value)
}

func because[S any](name, help, reason string, value func(*S) uint64) metric[S] {
	return metric[S]{client.CounterValue, name + "_total", help, reason, value}
}

func gauge[S any](name, help string, value func(*S) uint64) metric[S] {
	return metric[S]{client.GaugeValue, name, help, "", value}
}

const (
	droppedHelp        = "Datagrams that were dropped before the program got them."
	endedHelp          = "Sessions that ended, by idleness or because they were closed."
	refusedHelp        = "Datagrams of new peers for which no session was opened."
	sessionDroppedHelp = "Datagrams of sessions that were dropped before the program got them."
)

var handleMetrics = []metric[datagram.Stats]{
	counter("accepted_datagrams", "Datagrams accepted for sending.",
		func(s *datagram.Stats) uint64 { return s.Accepted }),
	gauge("queued_datagrams", "Accepted datagrams that the system has not yet answered for.",
		func(s *datagram.Stats) uint64 { return s.Queued }),
	counter("sent_datagrams", "Datagrams that the system accepted.",
		func(s *datagram.Stats) uint64 { return s.Sent }),
	counter("sent_bytes", "Payload of the sent datagrams.",
		func(s *datagram.Stats) uint64 { return s.SentBytes }),
	counter("send_errors", "Accepted datagrams that failed, or that closing the handle ended.",
		func(s *datagram.Stats) uint64 { return s.SendErrors }),

	counter("received_datagrams", "Datagrams taken from the system.",
		func(s *datagram.Stats) uint64 { return s.Received }),
	counter("received_bytes", "Payload of the received datagrams.",
		func(s *datagram.Stats) uint64 { return s.ReceivedBytes }),
	counter("delivered_datagrams", "Received datagrams that the program got.",
		func(s *datagram.Stats) uint64 { return s.Delivered }),
	counter("truncated_datagrams", "Delivered datagrams that were longer than the handle receives.",
		func(s *datagram.Stats) uint64 { return s.Truncated }),
	gauge("held_datagrams", "Received datagrams not yet delivered or dropped.",
		func(s *datagram.Stats) uint64 { return s.Held }),

	because("dropped_datagrams", droppedHelp, "kernel",
		func(s *datagram.Stats) uint64 { return s.KernelDrops }),
	because("dropped_datagrams", droppedHelp, "policy",
		func(s *datagram.Stats) uint64 { return s.PolicyDrops }),
	because("dropped_datagrams", droppedHelp, "stale",
		func(s *datagram.Stats) uint64 { return s.StaleDrops }),
	because("dropped_datagrams", droppedHelp, "close",
		func(s *datagram.Stats) uint64 { return s.CloseDrops }),

	counter("receive_errors", "Errors after which receiving continued.",
		func(s *datagram.Stats) uint64 { return s.ReceiveErrors }),
	counter("send_retries", "Sends that the handle retried by itself.",
		func(s *datagram.Stats) uint64 { return s.Retries }),
	counter("unreported_errors", "Errors that the error handler was too slow to get.",
		func(s *datagram.Stats) uint64 { return s.UnreportedErrors }),
	counter("send_buffer_shortages", "Sends for which the system had no buffer (ENOBUFS).",
		func(s *datagram.Stats) uint64 { return s.NoBuffers }),
	counter("segmentation_fallbacks", "Batches that were sent one datagram at a time, since the system refused to segment them.",
		func(s *datagram.Stats) uint64 { return s.Fallbacks }),
	counter("send_calls", "System calls that sent datagrams.",
		func(s *datagram.Stats) uint64 { return s.SendCalls }),
	counter("receive_calls", "System calls that received datagrams.",
		func(s *datagram.Stats) uint64 { return s.ReceiveCalls }),
}

var sessionMetrics = []metric[session.Stats]{
	gauge("sessions", "Sessions that are open, with those that wait for Accept.",
		func(s *session.Stats) uint64 { return s.Sessions }),
	counter("sessions_opened", "Sessions that were opened.",
		func(s *session.Stats) uint64 { return s.Opened }),
	because("sessions_ended", endedHelp, "idle",
		func(s *session.Stats) uint64 { return s.Idled }),
	because("sessions_ended", endedHelp, "close",
		func(s *session.Stats) uint64 { return s.Closed }),

	because("session_refused_datagrams", refusedHelp, "backlog",
		func(s *session.Stats) uint64 { return s.RefusedBacklog }),
	because("session_refused_datagrams", refusedHelp, "max_sessions",
		func(s *session.Stats) uint64 { return s.RefusedMax }),
	because("session_refused_datagrams", refusedHelp, "admit",
		func(s *session.Stats) uint64 { return s.RefusedAdmit }),
	because("session_refused_datagrams", refusedHelp, "close",
		func(s *session.Stats) uint64 { return s.RefusedClosed }),

	counter("session_received_datagrams", "Datagrams of sessions, the first of each included.",
		func(s *session.Stats) uint64 { return s.Received }),
	counter("session_delivered_datagrams", "Datagrams of sessions that the program got.",
		func(s *session.Stats) uint64 { return s.Delivered }),
	because("session_dropped_datagrams", sessionDroppedHelp, "queue",
		func(s *session.Stats) uint64 { return s.Dropped }),
	because("session_dropped_datagrams", sessionDroppedHelp, "end",
		func(s *session.Stats) uint64 { return s.Discarded }),
	gauge("session_held_datagrams", "Datagrams of sessions that wait for their readers.",
		func(s *session.Stats) uint64 { return s.Held }),
}
