package report

import (
	"fmt"
	"html"
	"io"
	"os"
	"slices"
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

// theme has the colours of one variant.
type theme struct {
	name, back, text, faint, bar, own string
}

var (
	light = theme{"light", "#ffffff", "#1f2328", "#59636e", "#818b98", "#0969da"}
	dark  = theme{"dark", "#0d1117", "#f0f6fc", "#9198a1", "#8b949e", "#4493f8"}
)

// A panel is one part of the chart: a bar for each peer of a workload.
type panel struct{ workload, metric, title, unit string }

// panels are in reading order.
var panels = []panel{
	{"flow1200", Rate, "One flow, 1200 B", "datagrams/s, loopback"},
	{"flow64", Rate, "One flow, 64 B", "datagrams/s, loopback"},
	{"echo256", Rate, "Echo server, 256 clients, 100 B", "replies/s"},
	{"echohalf", CPU, "Echo at half of net.UDPConn's load", "CPU time a reply: less is better"},
	{"senders256", Rate, "Receiving from 256 senders, 1200 B", "datagrams/s"},
	{"veth1200", Rate, "One flow, 1200 B, no UDP offload", "datagrams/s, across a veth pair"},
}

// Charted returns the workloads in the chart.
func Charted() []string {
	var names []string
	for _, p := range panels {
		names = append(names, p.workload)
	}
	return names
}

// bars are the lines of every panel. If a bar has several peers, the best of them counts.
var bars = []struct {
	label string
	peers []string
	own   bool // this package
	limit bool // not a peer but the kernel's limit
}{
	{label: "net.UDPConn", peers: []string{Baseline}},
	{label: "x/net batches", peers: []string{"x/net"}},
	{label: "gnet", peers: []string{"gnet"}},
	{label: "libuv (C)", peers: []string{"libuv-send", "libuv-mmsg", "libuv-try"}},
	{label: "sendmmsg (C)", peers: []string{"raw-mmsg"}},
	{label: "wireguard-go", peers: []string{"wireguard"}},
	{label: "datagram, Recv", peers: []string{"datagram"}, own: true},
	{label: "datagram, Serve", peers: []string{"datagram-serve"}, own: true},
	{label: "datagram, batches", peers: []string{"datagram-batch"}, own: true},
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
	footHeight  = 58
)

func (r *Run) draw(out io.Writer, t theme) {
	panelHeight := titleHeight + lineHeight*len(bars) + 6
	width, height := 2*panelWidth, (len(panels)+1)/2*panelHeight+footHeight
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`role="img" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(out, "<title>UDP throughput of datagram and its peers</title>\n")
	fmt.Fprintf(out, "<desc>%s</desc>\n", html.EscapeString(r.inWords()))
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", t.back)
	for i, p := range panels {
		fmt.Fprintf(out, `<g transform="translate(%d %d)">`+"\n", i%2*panelWidth, i/2*panelHeight)
		text(out, 16, 26, `font-size="14" font-weight="600"`, t.text, p.title)
		text(out, 16, 44, "", t.faint, p.unit)
		p.draw(out, t, r.values(p))
		fmt.Fprintln(out, "</g>")
	}
	machine := fmt.Sprintf("%s, %d cores, Linux %s, %s. Medians of %d rounds.",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Settings.Rounds)
	text(out, 16, height-32, `font-size="11"`, t.faint, machine)
	text(out, 16, height-16, `font-size="11"`, t.faint,
		"×: the bar divided by that of net.UDPConn. Dashed: the kernel's limit. (C): programs in C.")
	fmt.Fprintln(out, "</svg>")
}

// values returns the length of each of bars in a panel, 0 for those that were not measured.
func (r *Run) values(p panel) []float64 {
	w := r.Workload(p.workload)
	vs := make([]float64, len(bars))
	for i, b := range bars {
		for _, name := range b.peers {
			peer := w.Peer(name)
			if peer == nil {
				continue
			}
			v := peer.Median(p.metric)
			if v > 0 && (vs[i] == 0 || metrics[p.metric].better(v, vs[i])) {
				vs[i] = v
			}
		}
	}
	return vs
}

func (p panel) draw(out io.Writer, t theme, values []float64) {
	top, base := slices.Max(values), values[0]
	y := titleHeight
	for i, b := range bars {
		v := values[i]
		if v == 0 {
			continue
		}
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
		text(out, x, y+13, weight, t.text, metrics[p.metric].format(v))
		if i > 0 && base > 0 {
			text(out, x+numberWidth, y+13, weight, t.faint, digits(v/base)+"×")
		}
		y += lineHeight
	}
	if top == 0 {
		text(out, 16, y+13, "", t.faint, "not measured")
	}
}

// inWords tells what the chart shows to those who cannot see it.
func (r *Run) inWords() string {
	var b strings.Builder
	for _, p := range panels {
		fmt.Fprintf(&b, "%s, %s:", p.title, p.unit)
		sep := " "
		for i, v := range r.values(p) {
			if v > 0 {
				fmt.Fprintf(&b, "%s%s %s", sep, bars[i].label, metrics[p.metric].format(v))
				sep = ", "
			}
		}
		if sep == " " {
			b.WriteString(" not measured")
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}

func text(out io.Writer, x, y int, attrs, fill, s string) {
	fmt.Fprintf(out, `<text x="%d" y="%d" %s fill="%s">%s</text>`+"\n", x, y, attrs, fill, html.EscapeString(s))
}
