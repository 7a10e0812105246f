package report

import (
	"fmt"
	"html"
	"io"
	"os"
	"strings"
)

// Chart writes the chart of the README as PREFIX-light.svg and PREFIX-dark.svg.
func (r *Run) Chart(prefix string) error {
	for _, t := range []theme{light, dark} {
		var b strings.Builder
		r.draw(&b, t)
		if err := os.WriteFile(prefix+"-"+t.name+".svg", []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// theme is one variant's colours.
type theme struct {
	name, back, text, faint, bar, own string
}

var (
	light = theme{"light", "#ffffff", "#1f2328", "#59636e", "#afb8c1", "#0969da"}
	dark  = theme{"dark", "#0d1117", "#f0f6fc", "#9198a1", "#4d5661", "#4493f8"}
)

// panels are the chart's four parts, in reading order.
var panels = []struct{ workload, title, unit string }{
	{"flow1200", "One flow, 1200 B", "datagrams/s, loopback"},
	{"flow64", "One flow, 64 B", "datagrams/s, loopback"},
	{"echo256", "Echo server, 256 clients, 100 B", "replies/s, nothing coalesces"},
	{"veth1200", "One flow, 1200 B, no UDP offload", "datagrams/s, across a veth pair"},
}

// bars are the lines of every panel. Where several names stand, the best of them counts.
var bars = []struct {
	label string
	peers []string
	own   bool // this package
	limit bool // not a peer but what the kernel can do
}{
	{label: "net.UDPConn", peers: []string{Baseline}},
	{label: "x/net batches", peers: []string{"x/net"}},
	{label: "gnet", peers: []string{"gnet"}},
	{label: "libuv (C)", peers: []string{"libuv-send", "libuv-mmsg", "libuv-try"}},
	{label: "sendmmsg (C)", peers: []string{"raw-mmsg"}},
	{label: "wireguard-go", peers: []string{"wireguard"}},
	{label: "datagram, Recv", peers: []string{"datagram"}, own: true},
	{label: "datagram, Serve", peers: []string{"datagram-serve"}, own: true},
	{label: "GSO+GRO (C)", peers: []string{"raw-gso"}, limit: true},
}

// Sizes of the drawing, in pixels.
const (
	panelWidth  = 430
	labelWidth  = 124
	barWidth    = 185
	numberWidth = 54
	lineHeight  = 23
	titleHeight = 58
	footHeight  = 44
)

func (r *Run) draw(out io.Writer, t theme) {
	panelHeight := titleHeight + lineHeight*len(bars) + 6
	width, height := 2*panelWidth, 2*panelHeight+footHeight
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`role="img" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(out, "<title>UDP throughput of datagram and its peers</title>\n")
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", t.back)
	for i, p := range panels {
		fmt.Fprintf(out, `<g transform="translate(%d %d)">`+"\n", i%2*panelWidth, i/2*panelHeight)
		text(out, 16, 26, `font-size="14" font-weight="600"`, t.text, p.title)
		text(out, 16, 44, "", t.faint, p.unit)
		r.panel(out, t, r.Workload(p.workload))
		fmt.Fprintln(out, "</g>")
	}
	foot := fmt.Sprintf("%s, %d cores, Linux %s, %s. Medians of %d rounds side by side, factors against net.UDPConn. Dashed: the kernel's limit.",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Settings.Rounds)
	text(out, 16, height-16, `font-size="11"`, t.faint, foot)
	fmt.Fprintln(out, "</svg>")
}

func (r *Run) panel(out io.Writer, t theme, w *Workload) {
	found := make([]*Peer, len(bars))
	top := 0.0
	for i, b := range bars {
		if found[i] = bestOf(w, b.peers); found[i] != nil {
			top = max(top, found[i].Median(Rate))
		}
	}
	base := w.Peer(Baseline)
	y := titleHeight
	for i, b := range bars {
		p := found[i]
		if p == nil {
			continue
		}
		v := p.Median(Rate)
		fill, look, weight := t.bar, "", ""
		switch {
		case b.own:
			fill, weight = t.own, `font-weight="600"`
		case b.limit:
			fill, look = "none", fmt.Sprintf(` stroke="%s" stroke-dasharray="3 2"`, t.faint)
		}
		length := max(1, v/top*barWidth)
		text(out, 16+labelWidth-8, y+13, weight+` text-anchor="end"`, t.text, b.label)
		fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="16" rx="2" fill="%s"%s/>`+"\n",
			16+labelWidth, y+1, length, fill, look)
		x := 16 + labelWidth + int(length) + 6
		text(out, x, y+13, weight, t.text, Count(v))
		if q := Ratio(p, base, Rate); q != 0 && b.peers[0] != Baseline {
			text(out, x+numberWidth, y+13, weight, t.faint, digits(q)+"×")
		}
		y += lineHeight
	}
	if top == 0 {
		text(out, 16, y+13, "", t.faint, "not measured")
	}
}

// bestOf returns the peer with the highest rate among names, or nil.
func bestOf(w *Workload, names []string) *Peer {
	var best *Peer
	for _, n := range names {
		if p := w.Peer(n); p != nil && (best == nil || p.Median(Rate) > best.Median(Rate)) {
			best = p
		}
	}
	return best
}

func text(out io.Writer, x, y int, attrs, fill, s string) {
	fmt.Fprintf(out, `<text x="%d" y="%d" %s fill="%s">%s</text>`+"\n", x, y, attrs, fill, html.EscapeString(s))
}
