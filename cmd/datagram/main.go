// Datagram sends, receives, measures and diagnoses UDP, with the package of that name. Each command has
// a file of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:])) }

// run runs a command and returns the exit code.
func run(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	cancelBySignal(cancel)
	out := newOutput(os.Stdout, os.Stderr, cancel)

	root := newRoot(out)
	root.SetArgs(args)
	running := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		out.name, running = cmd.CommandPath(), true
		return atLeast("every", out.every, 0)
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !running {
		err = usageError{err} // found by the command-line library
	}
	if outputError := out.close(); outputError != nil {
		err = outputError
	}
	code := exitCode(err)
	if err != nil && code != codeOutputClosed {
		message := cmd.CommandPath() + ": " + oneLine(err.Error())
		if code == codeUsage {
			message += fmt.Sprintf(" (%s --help tells more)", cmd.CommandPath())
		}
		fmt.Fprintln(os.Stderr, message)
	}
	return code
}

// oneLine joins the lines of a message, which may be several errors, or a guess of the command-line library.
func oneLine(message string) string {
	return strings.NewReplacer("\n\nDid you mean this?\n\t", "; did you mean ", "\n\t", " or ", "\n", "; ").
		Replace(strings.TrimSpace(message))
}

// cancelBySignal calls cancel at the first signal that asks the program to end. The second one ends it
// at once.
func cancelBySignal(cancel context.CancelCauseFunc) {
	signal.Ignore(syscall.SIGPIPE) // a closed output is an error to end by, after sending what is queued
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		cancel(interrupted{s})
	}()
}

func newRoot(out *output) *cobra.Command {
	root := &cobra.Command{
		Use:   "datagram",
		Short: "Send, receive, measure and diagnose UDP",
		Long: `Datagram sends, receives, measures and diagnoses UDP.

An address is HOST:PORT. To listen, :PORT or PORT alone means all addresses of
this host, and port 0 a free one.

Exit codes:
  0    done; for commands that run until a signal: ended by one
  1    failed; a message says why
  2    used wrongly
  3    done, but no answer came, datagrams were lost, or doctor found something
  130  interrupted (SIGINT) before it was done; 143 for SIGTERM
  141  standard output was closed`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().VarP(choose(&out.format, "text", "json"), "output", "o", "text, or json with one object a line")
	root.PersistentFlags().DurationVar(&out.every, "every", out.every, "`time` between reports of progress; 0 for none")
	for _, newCommand := range []func(*output) *cobra.Command{
		newListen, newJoin, newSend, newEcho, newSink, newRelay, newPing, newBench, newDoctor, newMan,
	} {
		root.AddCommand(newCommand(out))
	}
	complete(root)
	adopt(root, out)
	return root
}

// adopt makes what the command-line library adds fail as other commands do: if the output fails, or if it is used wrongly.
func adopt(root *cobra.Command, out *output) {
	root.SetOut(out.w)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return fmt.Errorf("there is no command %q", args)
				}
				return nil
			}
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // without it, any argument gets help
		}
	}
}

// version returns the version of the module, as far as the build recorded one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}
