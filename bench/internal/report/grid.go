package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// GridTable prints who wins with which size of datagrams and number of destinations: the best of
// the others that a program can use instead, our ways relative to it, and what C can do.
func (r *Run) GridTable(out io.Writer) {
	var ws []*Workload
	for i := range r.Workloads {
		if r.Workloads[i].Series == Grid {
			ws = append(ws, &r.Workloads[i])
		}
	}
	if len(ws) == 0 {
		return
	}
	slices.SortStableFunc(ws, func(a, b *Workload) int { return cmp.Or(a.Size-b.Size, a.N-b.N) })
	fmt.Fprintln(out, "\nsizes and destinations: datagrams a second, relative to the best of the others (C by hand apart)")
	columns := []string{"datagram", "datagram-serve", "datagram-batch", "raw-mmsg", "raw-gso"}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "bytes\tdestinations\tbest of the others\t\t")
	for _, name := range columns {
		fmt.Fprintf(t, "%s\t", name)
	}
	fmt.Fprintln(t, "winner\t")
	for _, w := range ws {
		rival := w.bestRival()
		if rival == nil {
			continue
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t", w.Size, w.N, rival.Name, Count(rival.Median(Rate)))
		for _, name := range columns {
			fmt.Fprintf(t, "%s\t", ratio(Ratio(w.Peer(name), rival, Rate)))
		}
		winner := rival
		if own := w.Best(Ours); Ratio(own, rival, Rate) > 1 {
			winner = own
		}
		fmt.Fprintf(t, "%s\t\n", winner.Name)
	}
	_ = t.Flush() // an error of standard output shows by itself
}

// bestRival returns the best peer that is neither this package nor written by hand in C.
func (w *Workload) bestRival() *Peer {
	var best *Peer
	for _, p := range w.Peers {
		if p.own() || p.byHand() {
			continue
		}
		if p := w.Peer(p.Name); p != nil && (best == nil || p.Median(Rate) > best.Median(Rate)) {
			best = p
		}
	}
	return best
}

// own reports whether a peer is this package.
func (p *Peer) own() bool { return strings.HasPrefix(p.Name, "datagram") }

// byHand reports whether a peer is a program of direct system calls, which shows what the kernel can
// do.
func (p *Peer) byHand() bool { return strings.HasPrefix(p.Name, "raw-") }
