package child

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"example.com/datagram/bench/internal/mark"
	"golang.org/x/sys/unix"
)

// Control answers the parent. It reads lines from in and writes the answers to out.
type Control struct {
	In  io.Reader
	Out io.Writer

	Counts *Counts
	Resent func() uint64     // requests sent again; may be nil
	Hist   func() mark.Pairs // latencies, called once, after Stop; may be nil
	OnMark func()            // called at the first mark, when warming up ends
	Stop   func()            // stops the traffic and waits until it has ended
}

// Run prints ready, then answers until the parent stops it.
func (c *Control) Run(ready mark.Ready) error {
	enc := json.NewEncoder(c.Out)
	if err := enc.Encode(ready); err != nil {
		return err
	}
	begin := stops()
	lines := bufio.NewScanner(c.In)
	for lines.Scan() && lines.Text() != "stop" {
		if c.OnMark != nil {
			c.OnMark()
			c.OnMark = nil
		}
		if err := enc.Encode(c.now()); err != nil {
			return err
		}
	}
	stop := longest(begin, stops())
	c.Counts.Stop()
	c.Stop()
	last := c.now()
	last.GCStop = int64(stop)
	if c.Hist != nil {
		last.Hist = c.Hist()
	}
	return enc.Encode(last)
}

var start = time.Now()

func (c *Control) now() mark.Mark {
	usage := usage()
	m := mark.Mark{
		NS:       int64(time.Since(start)),
		CPU:      usage.Utime.Nano() + usage.Stime.Nano(),
		Sent:     c.Counts.sent.Load(),
		SentSum:  c.Counts.sentSum.Load(),
		Received: c.Counts.received.Load(),
		RecvSum:  c.Counts.recvSum.Load(),
		Bad:      c.Counts.bad.Load(),
		Allocs:   allocs(),
		Switches: usage.Nvcsw + usage.Nivcsw,
		RSS:      RSS(),
	}
	if c.Resent != nil {
		m.Resent = c.Resent()
	}
	return m
}

// Drain waits, for at most a second, until nothing has arrived for a while, so that datagrams in
// transit when the sender stops do not count as lost.
func (c *Counts) Drain() {
	const quiet = 50 * time.Millisecond
	for last, i := c.Received(), 0; i < 20; i++ {
		time.Sleep(quiet)
		now := c.Received()
		if now == last {
			return
		}
		last = now
	}
}

func usage() (u unix.Rusage) {
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails for bad arguments only
	return u
}

func allocs() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// RSS returns the resident memory of this process in bytes.
func RSS() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// Slab returns the memory in the kernel's object caches, where sockets live. It covers the whole
// machine, so a difference is only meaningful while nothing else opens many files.
func Slab() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "\nSlab:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(f[0], 10, 64)
	return kib << 10
}

// Settle waits until new goroutines are parked and their garbage is collected.
func Settle() {
	for range 3 {
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
	}
}

// Fatal ends a child that cannot do what it should. The parent shows the line.
func Fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
