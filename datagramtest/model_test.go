package datagramtest_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"example.com/datagram"
)

// A model is a model of a handle. It is a value: if two orders of calls are possible, there are two models.
//
// The handle under test has two passive peers, 1 and 2.
type model struct {
	bound, closed, receiving, joined bool
	dropping                         bool   // Connect has not yet dropped what strangers sent
	ttl                              int    // 0: the system's default
	peer                             int    // 0: unconnected
	kernel, channel                  []int  // senders of the datagrams in the receive buffer and in the last channel
	late                             []int  // senders of those that came when the channel had just been closed
	sent                             [3]int // to each peer
}

// A call is a step of a program, with a number if it takes one.
type call struct {
	name   string
	number int
}

func (c call) String() string { return fmt.Sprintf("%s(%d)", c.name, c.number) }

// The calls, weighted by frequency. Those that take a peer are given 1 or 2.
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

// step returns the possible models after a call, and the result of the call.
func (m model) step(c call) (after []model, result string) {
	receiving := m.receiving
	for n := 0; n == 0 || n <= len(m.kernel) && m.receiving; n++ {
		for _, m := range []model{m, m.dropped()} {
			m, result = m.take(n).stepNow(c)
			after = append(after, m)
			switch {
			case c.name == "stopRecv" && receiving:
				for n := range len(m.kernel) {
					after = append(after, m.takeLate(n+1))
				}
			case c.name == "connect" && len(m.late) > 0: // it may drop them now, or when receiving resumes
				m.late = m.wanted(m.late)
				after = append(after, m)
			}
		}
	}
	return after, result
}

// takeLate is take when receiving has just been stopped.
func (m model) takeLate(n int) model {
	m.late = append(slices.Clone(m.late), m.kernel[:n]...)
	m.kernel = m.kernel[n:]
	return m
}

// take returns the model after the handle has taken n datagrams from the receive buffer, which may happen at
// any time while it receives.
func (m model) take(n int) model {
	m.channel = append(slices.Clone(m.channel), m.wanted(m.kernel[:n])...)
	m.kernel = m.kernel[n:]
	return m
}

// settled returns the model when nothing is running any more.
func (m model) settled() model {
	if m.receiving {
		m = m.take(len(m.kernel))
	}
	return m.dropped()
}

// dropped returns the model after the second half of Connect, which drops what strangers sent, but only while
// the handle receives.
func (m model) dropped() model {
	if m.dropping && m.receiving {
		m.channel = m.wanted(m.channel)
	}
	m.dropping = false
	return m
}

// wanted removes what strangers sent.
func (m model) wanted(from []int) []int {
	return slices.DeleteFunc(slices.Clone(from), func(from int) bool { return m.peer != 0 && from != m.peer })
}

// stepNow is step without concurrent events.
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
		m.closed, m.receiving, m.kernel, m.late = true, false, nil, nil
	}
	return m, "ok"
}

// resumed returns the model once it receives, if it can.
func (m model) resumed() model {
	if !m.closed && !m.receiving {
		m.bound, m.receiving, m.channel, m.late = true, true, m.wanted(slices.Concat(m.channel, m.late)), nil
	}
	return m
}

// read returns the senders of what can be read, and the model afterwards.
func (m model) read() (after model, from []int) {
	m = m.resumed().settled()
	from, m.channel = m.channel, nil
	return m, from
}

// key identifies a model.
func (m model) key() string { return fmt.Sprintf("%+v", m) }

// outcome returns an error in the model's terms.
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
