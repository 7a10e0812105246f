// Package command contains what the examples have in common: the command line, signals, exit codes, and how receiving ends.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Grace is how long a program may take to stop after a signal.
const Grace = 5 * time.Second

type usageError struct{ error }

// Usagef returns an error of run that says what is wrong with the command line.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Main parses the flags, which must have been defined, and the arguments, whose names are given; the last may be repeated
// if its name ends in dots. It then calls run with a context that SIGINT or SIGTERM ends; a second signal ends the program at
// once. The exit code is 0, 1 if run fails, or 2 if the command line is wrong. Either error is one line on the standard error.
func Main(name, arguments string, run func(ctx context.Context, args []string) error) {
	log.SetFlags(0)
	log.SetPrefix(name + ": ")
	names := strings.Fields(arguments)
	flag.CommandLine.Init(name, flag.ContinueOnError)
	flag.CommandLine.SetOutput(io.Discard)
	switch err := flag.CommandLine.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Println("Usage:", strings.Join(append([]string{name, "[flags]"}, names...), " "))
		flag.CommandLine.SetOutput(os.Stdout)
		flag.PrintDefaults()
		return
	case err != nil:
		wrong(err.Error())
	case flag.NArg() < len(names):
		wrong("missing argument: " + names[flag.NArg()])
	case flag.NArg() > len(names) && !strings.HasSuffix(arguments, "..."):
		wrong(fmt.Sprintf("unexpected argument %q", flag.Arg(len(names))))
	}

	signal.Ignore(syscall.SIGPIPE) // writing to a closed pipe is an error like others
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal has its usual effect
	err := run(ctx, flag.Args())
	if usage := (usageError{}); errors.As(err, &usage) {
		wrong(usage.Error())
	}
	if err != nil {
		log.Fatal(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

func wrong(what string) {
	log.Print(what, " (-help shows the usage)")
	os.Exit(2)
}
