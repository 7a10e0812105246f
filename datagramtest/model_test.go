package datagramtest_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"example.com/datagram"
)

// A model says what calls on a handle do. It is a value: what might have happened in two orders
// are two models.
//
// The handle under test has two peers, 1 and 2, which do nothing by themselves.
type model struct {
	bound, closed, receiving, joined bool
	ttl                              int // 0: as the system has it
	peer                             int // 0: unconnected
	inbox                            []message
	sent                             [3]int // to each peer
}

// A message was sent to the handle and not read yet.
type message struct {
	from, number int
	// stopped says that it lay in the channel when StopRecv closed it.
	stopped bool
}

// A call is a step of a program, with a number for those that take one.
type call struct {
	name   string
	number int
}

func (c call) String() string { return fmt.Sprintf("%s(%d)", c.name, c.number) }

// The calls, by how often they are made. Those that take a peer are given 1 or 2.
var callWeights = []struct {
	name   string
	weight int
}{
	{"bind", 2},
	{"connect", 3},
	{"disconnect", 3},
	{"trySend", 4},
	{"send", 4},
	{"trySendToPeer", 3},
	{"sendToPeer", 3},
	{"peerSends", 8},
	{"recv", 3},
	{"stopRecv", 2},
	{"read", 3},
	{"setTTL", 1},
	{"getTTL", 1},
	{"join", 1},
	{"leave", 1},
	{"remote", 1},
	{"flush", 1},
	{"close", 1},
}

// step returns the model after a call, and what the call returns.
func (m model) step(c call) (model, string) {
	m.inbox = slices.Clone(m.inbox)
	if m.closed && c.name != "peerSends" && c.name != "recv" && c.name != "remote" {
		return m, "closed"
	}
	switch c.name {
	case "bind":
		if m.bound {
			return m, "EINVAL"
		}
		m.bound = true
	case "connect":
		if m.peer != 0 {
			return m, "EISCONN"
		}
		m.bound, m.peer = true, c.number
		if m.receiving {
			m.dropStrangers()
		}
	case "disconnect":
		if m.peer == 0 {
			return m, "ENOTCONN"
		}
		m.peer = 0
	case "trySend", "send":
		if m.peer != 0 {
			return m, "EISCONN"
		}
		m.bound = true
		m.sent[c.number]++
	case "trySendToPeer", "sendToPeer":
		if m.peer == 0 {
			return m, "EDESTADDRREQ"
		}
		m.sent[m.peer]++
	case "peerSends":
		if m.bound && !m.closed && (m.peer == 0 || m.peer == c.number) {
			m.inbox = append(m.inbox, message{from: c.number})
		}
	case "recv":
		if !m.closed {
			m.bound = true
			m.resume()
		}
	case "stopRecv":
		if m.receiving {
			m.receiving = false
			for i := range m.inbox {
				m.inbox[i].stopped = true
			}
		}
	case "setTTL":
		m.ttl = c.number
	case "getTTL":
		switch {
		case m.ttl != 0:
			return m, fmt.Sprint(m.ttl)
		case !m.bound:
			return m, "EBADF"
		}
		return m, "64"
	case "join":
		if m.joined {
			return m, "EADDRINUSE"
		}
		m.bound, m.joined = true, true
	case "leave":
		if !m.joined {
			return m, "EADDRNOTAVAIL"
		}
		m.joined = false
	case "remote":
		if m.closed {
			return m, "0"
		}
		return m, fmt.Sprint(m.peer)
	case "close":
		if !m.receiving {
			m.inbox = slices.DeleteFunc(m.inbox, func(msg message) bool { return !msg.stopped })
		}
		m.closed = true
	}
	return m, "ok"
}

// resume begins receiving.
func (m *model) resume() {
	if m.receiving {
		return
	}
	m.receiving = true
	m.dropStrangers()
}

func (m *model) dropStrangers() {
	if m.peer != 0 {
		m.inbox = slices.DeleteFunc(m.inbox, func(msg message) bool { return msg.from != m.peer })
	}
}

// read returns the senders of what is there to read, after which nothing is.
func (m model) read() (model, []int) {
	if !m.closed {
		m.bound = true
		m.inbox = slices.Clone(m.inbox)
		m.resume()
	}
	var from []int
	for _, msg := range m.inbox {
		from = append(from, msg.from)
	}
	m.inbox = nil
	return m, from
}

// key tells models apart.
func (m model) key() string { return fmt.Sprintf("%+v", m) }

// outcome is what a model says of an error.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	for name, errno := range map[string]error{
		"EINVAL": syscall.EINVAL, "EISCONN": syscall.EISCONN, "ENOTCONN": syscall.ENOTCONN, "EDESTADDRREQ": syscall.EDESTADDRREQ,
		"EBADF": syscall.EBADF, "EADDRINUSE": syscall.EADDRINUSE, "EADDRNOTAVAIL": syscall.EADDRNOTAVAIL,
		"EAGAIN": datagram.ErrWouldBlock,
	} {
		if errors.Is(err, errno) {
			return name
		}
	}
	return err.Error()
}
