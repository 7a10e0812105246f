package session

import (
	"fmt"
	"math"
	"syscall"
	"time"

	"example.com/datagram"
)

// Config configures a [Listener]. The zero Config has the defaults. A negative
// Backlog, Queue or MaxSessions fails with EINVAL.
type Config struct {
	// IdleTimeout ends a session that has neither received nor written a
	// datagram for that long, or up to 1/16 longer. The default is 2 minutes,
	// the least time for which NATs keep a mapping (RFC 4787, REQ-5). Sessions
	// with a negative IdleTimeout never become idle.
	IdleTimeout time.Duration

	// Backlog is how many sessions may wait for Accept. The default is 128. If
	// there are more, datagrams of new peers are dropped and counted in
	// [Stats].RefusedBacklog.
	Backlog int

	// Queue is how many datagrams may wait for a session's reader, up to
	// 1,048,576. The default is 64. If there are more, the newest are dropped
	// and counted in [Stats].Dropped.
	Queue int

	// MaxSessions is how many sessions may be open, including those that wait
	// for Accept. The default is 65,536. If there are more, datagrams of new
	// peers are dropped and counted in [Stats].RefusedMax.
	MaxSessions int

	// Admit, if not nil, decides on new peers. It is called with the first
	// datagram of a peer. If it returns false, no session is opened,
	// [Stats].RefusedAdmit is incremented, and Admit is called again with the
	// next. The datagram is valid until Admit returns, and its Release does
	// nothing. If there is no room for a session, Admit is not called.
	//
	// Since anybody can forge the source of a datagram, Admit is where to let
	// peers prove their addresses: it may answer with a cookie and admit those
	// who return it. See the example.
	//
	// Admit runs on the goroutine that receives, one for each handle, so it may
	// be called concurrently if there are several. While it runs, its handle
	// receives nothing. A panic in Admit ends its handle's sessions with an
	// error that contains the panic and its stack; Accept returns that error
	// when no other handle is left.
	Admit func(d datagram.Datagram) bool

	// Handle, if not nil, is called with each datagram of each session, on the
	// goroutine that receives. This is much faster than a goroutine for each
	// session, for programs that never wait; [Conn.SetData] keeps their state.
	// Accept then returns no sessions, and Read, Receive and Recv no datagrams:
	// they wait for the end of listener and session.
	//
	// The payload is lent: see [datagram.Datagram.Release]. What Handle writes
	// leaves after the current batch is handled. It is not called again for a
	// session that it has closed. What was said about calls of Admit and its
	// panics applies to Handle too; calls for one session are concurrent only if
	// the system gives its datagrams to several handles.
	Handle func(c *Conn, d datagram.Datagram)
}

// maxQueue is also the limit of datagram.WithRecvQueue.
const maxQueue = 1 << 20

// never is an IdleTimeout that nobody lives to see. It can be added to a time without overflow.
const never = math.MaxInt64 / 2

// complete checks the configuration and sets defaults.
func (c *Config) complete() error {
	for _, field := range []struct {
		name            string
		value           *int
		standard, limit int
	}{
		{"Backlog", &c.Backlog, 128, math.MaxInt},
		{"Queue", &c.Queue, 64, maxQueue},
		{"MaxSessions", &c.MaxSessions, 1 << 16, math.MaxInt},
	} {
		switch n := *field.value; {
		case n < 0:
			return invalid(fmt.Sprintf("Config.%s: %d is negative", field.name, n))
		case n > field.limit:
			return invalid(fmt.Sprintf("Config.%s: %d exceeds %d", field.name, n, field.limit))
		case n == 0:
			*field.value = field.standard
		}
	}
	switch {
	case c.IdleTimeout == 0:
		c.IdleTimeout = 2 * time.Minute
	case c.IdleTimeout < 0, c.IdleTimeout > never:
		c.IdleTimeout = never
	}
	return nil
}

// invalid returns an EINVAL that says what was wrong.
func invalid(what string) error { return fmt.Errorf("%s: %w", what, syscall.EINVAL) }
