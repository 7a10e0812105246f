package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMan(t *testing.T) {
	t.Parallel()
	page := expect(t, 0, "man", "bench", "local")
	if !strings.Contains(page, `.TH "DATAGRAM-BENCH-LOCAL" "1"`) && !strings.Contains(page, `.TH "DATAGRAM-BENCH-LOCAL"`) {
		t.Error(page)
	}
	dir := t.TempDir()
	expect(t, 0, "man", "--dir", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	commands := newRoot(newOutput(os.Stdout, os.Stderr, nil)).Commands()
	if len(pages) < 1+len(commands) {
		t.Errorf("%d pages for %d commands: %q", len(pages), len(commands), pages)
	}
}
