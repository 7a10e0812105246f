package session

// Stats counts the sessions and datagrams of a [Listener]. In every snapshot
//
//	Opened = Sessions + Idled + Closed
//	Received = Delivered + Dropped + Discarded + Held
//
// and each datagram from the handles is in Received or in one of RefusedMax,
// RefusedBacklog, RefusedAdmit and RefusedClosed. The modules in exporters export
// these counters to Prometheus and OpenTelemetry.
type Stats struct {
	Sessions uint64 // open now, with those that wait for Accept
	Opened   uint64 // ever
	Idled    uint64 // ended by idleness
	Closed   uint64 // ended by Close, or with their listener or handle

	RefusedBacklog uint64 // datagrams of new peers while Config.Backlog sessions waited for Accept
	RefusedMax     uint64 // … while Config.MaxSessions were open
	RefusedAdmit   uint64 // … that Config.Admit refused
	RefusedClosed  uint64 // … after Close

	Received  uint64 // datagrams of sessions, the first included
	Delivered uint64 // … that were given to readers or Config.Handle, or put into the channel of Conn.Recv
	Dropped   uint64 // … that found Config.Queue waiting
	Discarded uint64 // … that were not read when their session ended
	Held      uint64 // … that wait for readers
}

// Stats returns a snapshot of the counters.
func (l *Listener) Stats() Stats {
	var s Stats
	for i := range l.table.shards {
		shard := &l.table.shards[i]
		s.Delivered += shard.delivered.Load()
		s.Dropped += shard.dropped.Load()
		s.Discarded += shard.discarded.Load()
		// Last, so that no datagram is counted above and not here.
		s.Received += shard.received.Load()
	}
	s.Held = s.Received - s.Delivered - s.Dropped - s.Discarded
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Sessions = uint64(len(l.open))
	s.Opened, s.Idled, s.Closed = l.opened, l.idled, l.sessionsClosed
	s.RefusedBacklog, s.RefusedMax = l.refusedBacklog, l.refusedMax
	s.RefusedAdmit, s.RefusedClosed = l.refusedAdmit, l.refusedClosed
	return s
}
