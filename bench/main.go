// Command bench measures datagram and its peers side by side, prints a table for each workload and
// one for the speeds to reach, and writes all figures as JSON and the chart of the README as SVG.
//
//	cd bench && go run .
//
// There are three other commands:
//
//	go run . overload           answers in time of a server that is offered too much
//	go run . stamps             the error of kernel time stamps
//	go run . soak -duration 2h  uses datagram for hours on end and checks that nothing is missing afterwards
//
// It runs on Linux. README.md describes the workloads and what makes them fair.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"example.com/datagram/bench/internal/report"
	"example.com/datagram/bench/internal/soak"
)

// readmeRun selects what the chart and the table of the main README show.
const readmeRun = `^(flow64|flow1200(x256)?|veth1200|senders256|echo256|echohalf|pingpong|flows\d+)$`

// options are the command line options.
type options struct {
	run, peers *regexp.Regexp
	duration   time.Duration
	rounds     int
	json, svg  string
	from       string
	quick      bool
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "child":
			return childMain(args[1:])
		case "overload":
			return overloadMain(args[1:], os.Stdout)
		case "stamps":
			return stampsMain(args[1:], os.Stdout)
		case "soak":
			return soakMain(args[1:], os.Stdout)
		}
	}
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	return benchMain(o, os.Stdout)
}

func parseFlags(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ExitOnError)
	run := fs.String("run", "", "run only workloads that match this regular expression; \"readme\" for those that the main README shows")
	peers := fs.String("peers", "", "run only peers that match this regular expression, and "+report.Baseline)
	fs.DurationVar(&o.duration, "duration", 400*time.Millisecond, "how long each peer runs in each round")
	fs.IntVar(&o.rounds, "rounds", 7, "number of rounds; the tables show medians")
	fs.StringVar(&o.json, "json", "", "write all figures to this file")
	fs.StringVar(&o.svg, "svg", "", "write the chart to PREFIX-light.svg and PREFIX-dark.svg")
	fs.StringVar(&o.from, "from", "", "print and draw the figures that an earlier run wrote with -json, without measuring")
	fs.BoolVar(&o.quick, "quick", false, "run everything for a few milliseconds, to check that it works")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.quick {
		o.duration, o.rounds = 20*time.Millisecond, 1
	}
	var err error
	if *run == "readme" {
		*run = readmeRun
	}
	if o.run, err = regexp.Compile(*run); err != nil {
		return o, err
	}
	o.peers, err = regexp.Compile(*peers)
	return o, err
}

// soakMain runs the bench binary as a soak.
func soakMain(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("bench soak", flag.ExitOnError)
	duration := fs.Duration("duration", time.Minute, "how long to soak")
	seed := fs.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random choices; by default a new one")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintln(out, "seed", *seed)
	return soak.Run(ctx, *duration, *seed, out)
}

// benchMain measures or loads a run, and reports it.
func benchMain(o options, out io.Writer) error {
	var r *report.Run
	var err error
	if o.from != "" {
		if r, err = report.Load(o.from); err == nil {
			r.Header(out)
			for i := range r.Workloads {
				r.Workloads[i].Table(out)
			}
		}
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		r, err = measureAll(ctx, o, out)
	}
	if err != nil {
		return err
	}
	r.Summarize()
	r.Judge()
	r.GridTable(out)
	r.Growth(out, report.Flows, "growth from 1 to 10,000 destinations")
	r.Growth(out, report.Conns, "growth from 1 to 10,000 sockets")
	r.TargetTable(out)
	if o.json != "" {
		if err := r.Save(o.json); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return r.Chart(o.svg)
	}
	return nil
}
