package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/auto"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"example.com/datagram"
)

// An entry is a message as it is printed. Encoding it escapes what could harm a terminal.
type entry struct {
	Received time.Time                     `json:"received"`
	From     string                        `json:"from"`
	Facility *string                       `json:"facility,omitempty"`
	Severity *string                       `json:"severity,omitempty"`
	Time     *time.Time                    `json:"time,omitempty"`
	Host     *string                       `json:"host,omitempty"`
	App      *string                       `json:"app,omitempty"`
	Process  *string                       `json:"process,omitempty"`
	ID       *string                       `json:"id,omitempty"`
	Data     *map[string]map[string]string `json:"data,omitempty"`
	Message  string                        `json:"message"`
	Problem  string                        `json:"problem,omitempty"` // why the message could not be parsed to its end
}

// newParser returns a function that parses datagrams, one at a time.
func newParser() func(datagram.Datagram) entry {
	machine := auto.NewMachine(
		auto.WithRFC5424Options(rfc5424.WithBestEffort()),
		auto.WithRFC3164Options(rfc3164.WithBestEffort(), rfc3164.WithRFC3339(), rfc3164.WithYear(rfc3164.CurrentYear{})))
	return func(d datagram.Datagram) entry {
		text := strings.TrimRight(string(d.Payload), "\r\n\x00") // some senders end a message as in a stream
		e := entry{Received: d.Meta.Time, From: d.Addr.String(), Message: text}
		message, err := machine.Parse([]byte(text))
		if err != nil {
			e.Problem = err.Error()
		}
		switch m := message.(type) {
		case *rfc5424.SyslogMessage:
			e.set(&m.Base)
			e.Data = m.StructuredData
			if m.Message == nil && err == nil {
				e.Message = "" // which is allowed
			}
		case *rfc3164.SyslogMessage:
			e.set(&m.Base)
			if m.Message == nil || *m.Message == "" {
				e.Problem = cmp.Or(e.Problem, "no text, or characters that are not allowed")
			}
		}
		return e
	}
}

// set sets the fields that both formats have. The text is replaced by its last part, if that was parsed to the end.
func (e *entry) set(m *syslog.Base) {
	e.Facility, e.Severity = m.FacilityLevel(), m.SeverityLevel()
	e.Time, e.Host, e.App, e.Process, e.ID = m.Timestamp, m.Hostname, m.Appname, m.ProcID, m.MsgID
	if m.Message != nil && *m.Message != "" && strings.HasSuffix(e.Message, *m.Message) {
		e.Message = strings.TrimPrefix(*m.Message, "\ufeff") // says that UTF-8 follows (RFC 5424 section 6.4)
	}
}
