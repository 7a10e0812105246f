package main

import (
	"errors"
	"os"
	"syscall"
)

// The exit codes, which the help text of the program explains.
const (
	codeFailed       = 1
	codeUsage        = 2
	codeShortfall    = 3
	codeSignal       = 128             // plus the signal's number, as shells report it
	codeOutputClosed = codeSignal + 13 // SIGPIPE
)

// A usageError is a mistake in the command line.
type usageError struct{ error }

// A shortfall is what a command that did its work has to say against the result.
type shortfall string

func (s shortfall) Error() string { return string(s) }

// interrupted is why a context ended, and the error of a command that a signal ended before it was
// done.
type interrupted struct{ os.Signal }

func (i interrupted) Error() string { return "ended by a signal: " + i.String() }

func exitCode(err error) int {
	var (
		usage  usageError
		short  shortfall
		signal interrupted
	)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE):
		return codeOutputClosed
	case errors.As(err, &usage):
		return codeUsage
	case errors.As(err, &short):
		return codeShortfall
	case errors.As(err, &signal):
		if number, ok := signal.Signal.(syscall.Signal); ok {
			return codeSignal + int(number)
		}
	}
	return codeFailed
}
