package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

// A printer prints received datagrams, for listen and join.
type printer struct {
	out     *output
	count   int
	payload string
	meta    bool
	names   map[int]string // of interfaces
}

func (p *printer) flags(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&p.count, "count", "c", 0, "stop after this many `datagrams`; 0 means at a signal")
	cmd.Flags().VarP(choose(&p.payload, "quoted", "hex", "raw", "none"), "payload", "p", "how to print payloads: quoted, hex, raw, or none to count only")
	cmd.Flags().BoolVarP(&p.meta, "meta", "m", false, "also print when a datagram came, its hop limit and its traffic class")
}

// options returns what the flags ask of a handle.
func (p *printer) options() []datagram.Option {
	opts := []datagram.Option{datagram.WithErrorHandler(p.out.warn)}
	if p.meta {
		opts = append(opts, datagram.WithMetadata(datagram.MetaTime, datagram.MetaHopLimit, datagram.MetaTrafficClass))
	}
	return opts
}

// run prints what conn receives until there is enough or ctx ends.
func (p *printer) run(ctx context.Context, conn *datagram.Conn) error {
	p.names = make(map[int]string)
	left := p.count
	if left == 0 {
		left = math.MaxInt
	}
	if p.out.live() || p.payload == "none" {
		m := newMeter()
		defer p.out.watch(func() view { return newReceipts(conn, m) })()
	}
	err := conn.ServeBatch(ctx, func(batch []datagram.Datagram) {
		for _, d := range batch {
			if left > 0 && p.payload != "none" {
				p.out.print("datagram", p.record(d))
			}
			left--
			d.Release()
		}
		p.out.flush()
		if left <= 0 {
			_ = conn.StopRecv() // ends ServeBatch
		}
	})
	switch drops := conn.Stats().KernelDrops; {
	case errors.Is(err, context.Canceled) && p.count > 0:
		return context.Cause(ctx)
	case err != nil && !errors.Is(err, context.Canceled):
		return err
	case drops > 0:
		return shortfall(plural(drops, "datagram") + " lost: they came faster than they were printed")
	}
	return nil
}

// A record describes a received datagram.
type record struct {
	From         string     `json:"from"`
	To           string     `json:"to,omitempty"`
	Interface    string     `json:"interface,omitempty"`
	Length       int        `json:"length"`
	Partial      bool       `json:"partial,omitempty"`
	Time         *time.Time `json:"time,omitempty"`
	HopLimit     int        `json:"hop_limit,omitempty"`
	TrafficClass *uint8     `json:"traffic_class,omitempty"`
	Text         *string    `json:"payload,omitempty"`        // if it is UTF-8
	Bytes        []byte     `json:"payload_base64,omitempty"` // if not

	text string
}

func (r record) String() string { return r.text }

func (p *printer) record(d datagram.Datagram) record {
	r := record{From: d.Addr.String(), Length: len(d.Payload), Partial: d.Partial, HopLimit: d.Meta.HopLimit}
	if d.Meta.Local.IsValid() {
		r.To = d.Meta.Local.String()
		r.Interface = p.interfaceName(d.Meta.IfIndex)
	}
	if p.meta {
		r.Time, r.TrafficClass = &d.Meta.Time, &d.Meta.TrafficClass
	}
	if p.out.format == "json" {
		if text := string(d.Payload); utf8.ValidString(text) {
			r.Text = &text
		} else {
			r.Bytes = d.Payload // encoded before its release
		}
		return r
	}
	r.text = p.line(r, d)
	return r
}

// line returns a datagram as a line of text.
func (p *printer) line(r record, d datagram.Datagram) string {
	var payload string
	switch p.payload {
	case "raw":
		return string(d.Payload)
	case "hex":
		payload = hex.EncodeToString(d.Payload)
	default:
		payload = fmt.Sprintf("%q", d.Payload)
	}
	var b strings.Builder
	if p.meta {
		b.WriteString(r.Time.Format("15:04:05.000000 "))
	}
	b.WriteString(r.From)
	if r.To != "" {
		b.WriteString(" to " + r.To)
	}
	if d.Meta.Local.IsMulticast() && r.Interface != "" {
		b.WriteString(" on " + r.Interface)
	}
	if p.meta {
		fmt.Fprintf(&b, ", hop limit %d, traffic class %#02x", r.HopLimit, *r.TrafficClass)
	}
	if r.Partial {
		b.WriteString(", cut off")
	}
	return b.String() + ": " + payload
}

// interfaceName returns the name of an interface, as it was when it was first seen.
func (p *printer) interfaceName(index int) string {
	name, ok := p.names[index]
	if !ok {
		if ifi, err := net.InterfaceByIndex(index); err == nil {
			name = ifi.Name
		}
		p.names[index] = name
	}
	return name
}

// receipts are how much a handle has received.
type receipts struct {
	Datagrams uint64  `json:"datagrams"`
	Bytes     uint64  `json:"bytes"`
	Rate      float64 `json:"datagrams_per_second"`
	Lost      uint64  `json:"lost"` // since the receive buffer was full
}

func newReceipts(conn *datagram.Conn, m *meter) receipts {
	s := conn.Stats()
	return receipts{s.Delivered, s.ReceivedBytes, m.rate(s.Delivered), s.KernelDrops}
}

func (r receipts) String() string {
	return fmt.Sprintf("%s, %s, %s, %d lost", plural(r.Datagrams, "datagram"), plural(r.Bytes, "byte"), perSecond(r.Rate), r.Lost)
}

func (r receipts) line() string { return r.String() }

func (r receipts) lines() []string { return []string{"", r.String()} }

// listening announces an address.
type listening struct {
	Address    string   `json:"address"`
	Group      string   `json:"group,omitempty"`
	Interfaces []string `json:"interfaces,omitempty"`
}

func (l listening) String() string {
	s := "listening on " + l.Address
	if l.Group != "" {
		s += ", joined " + l.Group + " on " + strings.Join(l.Interfaces, ", ")
	}
	return s
}
