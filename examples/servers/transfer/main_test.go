package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

func TestPrograms(t *testing.T) {
	path, from, to := program.Build(t), t.TempDir(), t.TempDir()
	content := random(5_000_000)
	file := filepath.Join(from, "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	receiver := program.Start(t, path, "receive", to, "127.0.0.1:0")
	address := receiver.After("listening on ")
	if out, code := program.Run(t, "", path, "send", file, address); code != 0 || !strings.HasPrefix(out, "sent 5000000 bytes in ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if line := receiver.Line(); !strings.HasPrefix(line, "file, 5000000 bytes from 127.0.0.1:") {
		t.Errorf("the receiver printed %q", line)
	}
	if got, err := os.ReadFile(filepath.Join(to, "file")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("received %d bytes, %v", len(got), err)
	}
	if out, code := program.Run(t, "", path, "send", file, address); code != 1 || !strings.Contains(out, "refused") || strings.Count(out, "\n") != 1 {
		t.Errorf("again: exit code %d\n%s", code, out)
	}
	receiver.Signal(syscall.SIGTERM)
	if out, code := receiver.Wait(); code != 0 || out != "" {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
