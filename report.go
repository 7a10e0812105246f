package datagram

import "example.com/datagram/internal/queue"

// startReporter makes sure that somebody reports what is answered. mu must be
// held.
func (s *sender) startReporter() {
	if !s.reporting && !s.answered.Empty() {
		s.reporting = true
		s.conn.enter()
		go s.report()
	}
}

func (s *sender) runReporter() {
	defer s.conn.leave()
	s.reportAll()
}

// reportAll calls completion functions until there are none to call. It is called with
// reporting held and gives it up.
func (s *sender) reportAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		s.reporting = false
		s.startReporter() // if a completion function has ended this goroutine
		s.wake()
	}()
	for b := s.answered.Take(); b != nil; b = s.answered.Take() {
		s.tell(b)
	}
}

// tell calls the completion functions of a block. mu must be held and is not meanwhile.
func (s *sender) tell(b *queue.Block) {
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		if b.Told < len(b.Tails) {
			s.answered.PutFront(b)
		} else {
			b.Free()
		}
	}()
	for b.Told < len(b.Tails) {
		d, tail := &b.Datagrams[b.Told], &b.Tails[b.Told]
		b.Told++
		done := tail.Done
		if done == nil && tail.Err != nil {
			done = s.conn.config.errorHandler
		}
		if done != nil {
			to := Datagram{Addr: d.Addr, name: d.Name}
			done(s.conn.sendError(&to, tail.Err))
		}
	}
}
