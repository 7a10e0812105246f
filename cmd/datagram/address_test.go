package main

import (
	"context"
	"os"
	"strings"
	"testing"
)

// A signal during a lookup ends it, and the message names what was looked up.
func TestInterruptedLookup(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	for name, err := range map[string]error{
		"listen":  func() error { _, err := listen(ctx, "udp", "name.invalid:7"); return err }(),
		"dial":    func() error { _, err := dial(ctx, "udp", "name.invalid:7"); return err }(),
		"resolve": func() error { _, err := resolve(ctx, "udp", "name.invalid:7"); return err }(),
	} {
		if code := exitCode(err); code != 130 || !strings.Contains(err.Error(), "name.invalid:7") {
			t.Errorf("%s: %v, exit code %d", name, err, code)
		}
	}
}
