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
	dropping                         bool   // Connect has yet to drop what strangers sent
	ttl                              int    // 0: as the system has it
	peer                             int    // 0: unconnected
	kernel, channel                  []int  // who sent what waits in the receive buffer, and in the last channel
	sent                             [3]int // to each peer
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

// step returns what the model may be after a call, and what the call returns.
func (m model) step(c call) (after []model, result string) {
	for n := 0; n == 0 || n <= len(m.kernel) && m.receiving; n++ {
		for _, m := range []model{m, m.dropped()} {
			m, result = m.take(n).stepNow(c)
			after = append(after, m)
		}
	}
	return after, result
}

// take returns the model after the handle has taken n datagrams from the receive buffer, which
// while it receives happens at any time.
func (m model) take(n int) model {
	m.channel = append(slices.Clone(m.channel), m.wanted(m.kernel[:n])...)
	m.kernel = m.kernel[n:]
	return m
}

// settled returns the model when nothing goes on any more.
func (m model) settled() model {
	if m.receiving {
		m = m.take(len(m.kernel))
	}
	return m.dropped()
}

// dropped returns the model after Connect, whose latter half that is, has dropped what
// strangers sent, which it does only while the handle receives.
func (m model) dropped() model {
	if m.dropping && m.receiving {
		m.channel = m.wanted(m.channel)
	}
	m.dropping = false
	return m
}

// wanted leaves out what strangers sent.
func (m model) wanted(from []int) []int {
	return slices.DeleteFunc(slices.Clone(from), func(from int) bool { return m.peer != 0 && from != m.peer })
}

// stepNow is step without anything that happens meanwhile.
func (m model) stepNow(c call) (model, string) {
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
		m.bound, m.peer, m.dropping = true, c.number, true
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
			m.kernel = append(slices.Clone(m.kernel), c.number)
		}
	case "recv":
		m = m.resumed()
	case "stopRecv":
		m.receiving = false
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
		m.closed, m.receiving, m.kernel = true, false, nil
	}
	return m, "ok"
}

// resumed returns the model when it receives, if it can.
func (m model) resumed() model {
	if !m.closed && !m.receiving {
		m.bound, m.receiving, m.channel = true, true, m.wanted(m.channel)
	}
	return m
}

// read returns the senders of what is there to read, after which nothing is.
func (m model) read() (after model, from []int) {
	m = m.resumed().settled()
	from, m.channel = m.channel, nil
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
