package socket

// ToGate and ToPoller change who watches the socket, at any time.
func ToGate(s Socket) error   { return s.(*linuxSocket).watched.toGate() }
func ToPoller(s Socket) error { return s.(*linuxSocket).watched.toPoller() }

// IsGated reports whether the socket is behind a gate.
func IsGated(s Socket) bool {
	l, ok := s.(*linuxSocket)
	return ok && l.watched != nil && l.watched.isGated()
}

// OnDescriptor runs f on the descriptor.
func OnDescriptor(s Socket, f func(fd uintptr) error) error { return s.(*linuxSocket).control(f) }

// ReceiveWith waits as Receive does, with a system call of the test's.
func ReceiveWith(s Socket, f func(fd uintptr) bool) error { return s.(*linuxSocket).watched.receive(f) }
