package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newDoctor(out *output) *cobra.Command {
	d := doctor{out: out}
	cmd := &cobra.Command{
		Use:   "doctor [HOST:PORT]",
		Short: "Tell what this system grants to UDP, and what to change",
		Long: `Tell what this system and its interfaces grant to UDP: offloads, buffers, ECN, MTU and
multicast, and which sockets lose datagrams. With an address, also what is known of the
way there; nothing is sent to it. The lines that follow a "!" are commands that help.`,
		Example: `  datagram doctor
  datagram doctor --interface eth0 server.example:7777`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	cmd.Flags().StringVarP(&d.ifname, "interface", "i", "", "`name` of the only interface to look at")
	return cmd
}

// doctor holds the flag of the command, and counts what it finds.
type doctor struct {
	out      *output
	ifname   string
	findings uint64
}

// A finding is the result of a check.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // a command
}

func (f finding) String() string {
	mark := " "
	if !f.OK {
		mark = "!"
	}
	s := fmt.Sprintf("%s %-16s %s", mark, f.Check, f.Detail)
	if f.Fix != "" {
		s += fmt.Sprintf("\n%19s%s", "", f.Fix)
	}
	return s
}

func (d *doctor) run(ctx context.Context, args []string) error {
	interfaces, err := d.interfaces()
	if err != nil {
		return err
	}
	d.fine("system", "%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version())
	d.features(ctx)
	d.transfer(ctx)
	d.ecn(ctx)
	d.buffers()
	for _, ifi := range interfaces {
		d.network(ctx, ifi)
	}
	for _, address := range args {
		if err := d.path(ctx, address); err != nil {
			return err
		}
	}
	d.losses()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d.findings > 0 {
		return shortfall(plural(d.findings, "finding"))
	}
	return nil
}

// interfaces returns those that are up, or the one that was named.
func (d *doctor) interfaces() (up []net.Interface, err error) {
	if d.ifname != "" {
		ifi, err := interfaceByName(d.ifname)
		if err != nil {
			return nil, err
		}
		return []net.Interface{*ifi}, nil
	}
	all, err := net.Interfaces()
	for _, ifi := range all {
		switch {
		case ifi.Flags&net.FlagUp != 0:
			up = append(up, ifi)
		case ifi.Flags&net.FlagLoopback != 0:
			d.bad(ifi.Name, "ip link set "+ifi.Name+" up", "the loopback interface is down")
		}
	}
	return up, err
}

func (d *doctor) report(f finding) {
	if !f.OK {
		d.findings++
	}
	d.out.say("finding", f)
}

func (d *doctor) fine(check, format string, args ...any) {
	d.report(finding{Check: check, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) bad(check, fix, format string, args ...any) {
	d.report(finding{Check: check, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

// features reports what a handle uses and can ask for.
func (d *doctor) features(ctx context.Context) {
	conn, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0", everything()...)
	if err != nil {
		d.bad("features", "", "%v", err)
		return
	}
	defer conn.Close()
	c := conn.Capabilities()
	fix := ""
	if os.Getenv("DATAGRAM_OFFLOAD") != "" {
		fix = "unset DATAGRAM_OFFLOAD"
	}
	for _, f := range []struct {
		name string
		is   datagram.Feature
	}{{"batches", c.Batch}, {"GSO", c.GSO}, {"GRO", c.GRO}} {
		if f.is.Active || runtime.GOOS != "linux" { // other systems have none
			d.fine(f.name, "%v", f.is)
		} else {
			d.bad(f.name, fix, "%v", f.is)
		}
	}
	d.fine("metadata", "address %v, hop limit %v, traffic class %v, time %v", c.Local, c.HopLimit, c.TrafficClass, c.Time)
	d.fine("ICMP errors", "%v", c.NetworkErrors)
	d.fine("drop counter", "%v", c.KernelDrops)
}

// everything returns options that ask for all that the system may have. Those that it lacks would be
// errors.
func everything() (opts []datagram.Option) {
	kinds := []datagram.MetadataKind{datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime}
	for _, kind := range kinds {
		opts = append(opts, datagram.WithMetadata(kind))
	}
	opts = append(opts, datagram.WithNetworkErrors())
	var granted []datagram.Option
	for _, option := range opts {
		if conn, err := datagram.Listen(context.Background(), "udp4", "127.0.0.1:0", option); err == nil {
			conn.Close()
			granted = append(granted, option)
		}
	}
	return granted
}

// transfer sends datagrams over the loopback interface and reports how many moved in a system call.
func (d *doctor) transfer(ctx context.Context) {
	const n, size = 32, 1200 // fit into the smallest buffers
	sent, received, err := transfer(ctx, newBatch(size)[:n])
	result := fmt.Sprintf("%d of %d datagrams arrived, in %s to send and %d to receive",
		received.Delivered, n, plural(sent.SendCalls, "call"), received.ReceiveCalls)
	switch {
	case err != nil:
		d.bad("transfer", "", "%v", err)
	case received.Delivered < n:
		d.bad("transfer", "", "%s", result)
	case sent.Fallbacks > 0:
		d.bad("transfer", "", "%s; the system refused %d batches", result, sent.Fallbacks)
	default:
		d.fine("transfer", "%s", result)
	}
}

// patience is how long a busy machine may take to deliver what it sends to itself.
const patience = 5 * time.Second

// transfer sends datagrams over the loopback interface, and waits for them.
func transfer(ctx context.Context, batch []datagram.Datagram) (sent, received datagram.Stats, err error) {
	receiver, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return sent, received, err
	}
	defer receiver.Close()
	sender, err := datagram.Dial(ctx, "udp4", receiver.LocalAddr().String())
	if err != nil {
		return sent, received, err
	}
	defer sender.Close()
	if _, err := sender.SendBatch(ctx, batch); err != nil {
		return sent, received, err
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	left := len(batch)
	_ = receiver.Serve(waiting, func(d datagram.Datagram) {
		d.Release()
		if left--; left == 0 {
			cancel()
		}
	})
	if err := sender.Flush(ctx); err != nil { // a datagram may arrive before it counts as sent
		return sent, received, err
	}
	return sender.Stats(), receiver.Stats(), nil
}

// ecn sends marked datagrams over the loopback interface and reports whether the marks can be read.
func (d *doctor) ecn(ctx context.Context) {
	for _, family := range []struct{ name, network, address string }{
		{"ECN, IPv4", "udp4", "127.0.0.1:0"},
		{"ECN, IPv6", "udp6", "[::1]:0"},
	} {
		switch detail, err := readECN(ctx, family.network, family.address); {
		case err != nil:
			d.fine(family.name, "%v", err) // a host may well have one family only
		case detail != "":
			d.bad(family.name, "", "%s", detail)
		default:
			d.fine(family.name, "marks can be set and read")
		}
	}
}

// readECN returns what went wrong with the mark of a datagram, or an error if a socket cannot be had.
func readECN(ctx context.Context, network, address string) (string, error) {
	conn, err := datagram.Listen(ctx, network, address, datagram.WithMetadata(datagram.MetaTrafficClass))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	marked := datagram.To(conn.LocalAddr(), []byte("marked"))
	marked.Meta.TrafficClass = uint8(datagram.ECT0)
	if err := conn.Send(ctx, marked); err != nil {
		return "", err
	}
	select {
	case r := <-conn.Recv():
		defer r.Release()
		if got := r.Meta.ECN(); got != datagram.ECT0 {
			return fmt.Sprintf("sent with the mark %d, received with %d", datagram.ECT0, got), nil
		}
		return "", nil
	case <-time.After(patience):
		return "a marked datagram got lost", nil
	}
}

// buffers reports how large the buffers of sockets can be.
func (d *doctor) buffers() {
	for _, b := range []struct{ name, limit, standard string }{
		{"receive buffer", "net.core.rmem_max", "net.core.rmem_default"},
		{"send buffer", "net.core.wmem_max", "net.core.wmem_default"},
	} {
		limit, ok := sysctl(b.limit)
		if !ok {
			continue // not Linux, or a container that hides it
		}
		standard, _ := sysctl(b.standard)
		detail := fmt.Sprintf("%d bytes, on request up to %d (%s)", standard, limit, b.limit)
		if limit < wantedBuffer {
			d.bad(b.name, fmt.Sprintf("sysctl -w %s=%d", b.limit, wantedBuffer), "%s", detail)
		} else {
			d.fine(b.name, "%s", detail)
		}
	}
}

// network reports what an interface grants.
func (d *doctor) network(ctx context.Context, ifi net.Interface) {
	d.fine(ifi.Name, "MTU %d, %v", ifi.MTU, ifi.Flags)
	if ifi.Flags&net.FlagLoopback == 0 {
		d.hardware(ctx, ifi.Name)
	}
	if ifi.Flags&net.FlagMulticast == 0 {
		return
	}
	// Groups for documentation: RFC 5771 section 9.2, RFC 6676 section 3.
	for _, group := range []string{"233.252.0.1", "ff0e::db8:0:1"} {
		addr := netip.MustParseAddr(group)
		conn, err := datagram.New()
		if err == nil {
			err = conn.JoinGroup(addr, &ifi)
			conn.Close()
		}
		if err != nil {
			d.fine(ifi.Name, "cannot join %v: %v", addr, err) // for lack of an address of the family, mostly
		} else {
			d.fine(ifi.Name, "can join %v", addr)
		}
	}
}

// segmentation is what ethtool(8) calls GSO by the network interface.
const segmentation = "tx-udp-segmentation"

// hardware reports whether the interface segments by itself.
func (d *doctor) hardware(ctx context.Context, name string) {
	listed, err := exec.CommandContext(ctx, "ethtool", "-k", name).Output()
	if errors.Is(err, exec.ErrNotFound) {
		d.fine(name, "unknown whether it segments by itself: install ethtool")
		return
	}
	switch state := parseFeature(string(listed), segmentation); state {
	case "":
	case "off":
		d.bad(name, fmt.Sprintf("ethtool -K %s %s on", name, segmentation), "could segment by itself, but is told not to")
	default:
		d.fine(name, "%s: %s", segmentation, state)
	}
}

// parseFeature returns the state of a feature in the output of ethtool -k: "on", "off", or one of these and
// "[fixed]". It returns "" if the feature is not listed.
func parseFeature(listed, feature string) string {
	for line := range strings.Lines(listed) {
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), feature+": "); ok {
			return state
		}
	}
	return ""
}

// path reports what the system knows of the way to an address.
func (d *doctor) path(ctx context.Context, address string) error {
	conn, err := dial(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	detail := fmt.Sprintf("%v from %v", conn.RemoteAddr(), conn.LocalAddr().Addr())
	if mtu, err := conn.PathMTU(); err == nil {
		detail += fmt.Sprintf(", path MTU %d", mtu)
	}
	d.fine("path", "%s", detail)
	return nil
}

// maxLossy is how many sockets losses reports at most.
const maxLossy = 10

// losses reports what the system has dropped.
func (d *doctor) losses() {
	fix := ""
	if standard, ok := sysctl("net.core.rmem_default"); ok && standard < wantedBuffer {
		fix = fmt.Sprintf("sysctl -w net.core.rmem_default=%d # for new sockets", wantedBuffer)
	}
	for i, s := range lossySockets() {
		if i == maxLossy {
			break
		}
		d.bad("losses", fix, "%v lost %s: buffer full", s, plural(s.drops, "datagram"))
	}
	counters := udpErrors()
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		if n := counters[name]; n > 0 {
			d.fine("losses", "%d %s, in all", n, name)
		}
	}
	if n := backlogDrops(); n > 0 {
		limit, _ := sysctl("net.core.netdev_max_backlog")
		d.bad("losses", fmt.Sprintf("sysctl -w net.core.netdev_max_backlog=%d", 4*max(limit, 1000)), "%s dropped before any socket: too slow", plural(n, "packet"))
	}
}
