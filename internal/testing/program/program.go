// Package program builds and runs programs such as the examples in their tests.
package program

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/datagram/internal/testing/testenv"
)

// Patience limits how long a test waits for a program.
const Patience = time.Minute

// Build builds the program in the current directory and returns its path.
func Build(tb testing.TB) string {
	tb.Helper()
	return BuildIn(tb, ".")
}

// BuildIn builds the program in a directory and returns its path. It enables the race detector if
// the test has it enabled.
func BuildIn(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "program")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	args := []string{"build", "-o", path}
	if testenv.RaceEnabled {
		args = append(args, "-race")
	}
	goTool(tb, dir, append(args, ".")...)

	// The result of the test depends on the program's sources. Stat them, so that the go command
	// knows and does not use a cached result when they change.
	const list = "{{if not .Standard}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}\n{{end}}{{end}}"
	for source := range strings.Lines(goTool(tb, dir, "list", "-deps", "-f", list, ".")) {
		if _, err := os.Stat(strings.TrimSpace(source)); err != nil && strings.TrimSpace(source) != "" {
			tb.Fatal(err)
		}
	}
	return path
}

// goTool runs the go command in a directory and returns its output.
func goTool(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Stderr = new(strings.Builder)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%v: %v\n%s", cmd, err, cmd.Stderr)
	}
	return string(out)
}

// Run runs a program to its end and returns its output and exit code.
func Run(tb testing.TB, stdin, path string, args ...string) (output string, code int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		tb.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Fails runs a program that must fail with an exit code, and say why in one line.
func Fails(tb testing.TB, code int, says, path string, args ...string) {
	tb.Helper()
	out, got := Run(tb, "", path, args...)
	if got != code || !strings.Contains(out, says) || strings.Count(out, "\n") != 1 {
		tb.Errorf("%q: exit code %d, want %d and one line with %q\n%s", args, got, code, says, out)
	}
}

// FullDevice returns a file that takes nothing, like one on a full disk.
func FullDevice(tb testing.TB) *os.File {
	tb.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		tb.Skip("the system has no /dev/full")
	}
	tb.Cleanup(func() { full.Close() })
	return full
}

// FailsToPrint runs a program whose standard output takes nothing. It must fail with exit code 1, and say why in one line.
func FailsToPrint(tb testing.TB, stdout *os.File, says, path string, args ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	_ = cmd.Run() // the exit code tells
	if code, out := cmd.ProcessState.ExitCode(), stderr.String(); code != 1 || !strings.Contains(out, says) || strings.Count(out, "\n") != 1 {
		tb.Errorf("%q: exit code %d, want 1 and one line with %q\n%s", args, code, says, out)
	}
}

// A Process is a program that runs alongside the test.
type Process struct {
	tb     testing.TB
	cmd    *exec.Cmd
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// Start starts a program, which ends at the latest with the test.
func Start(tb testing.TB, path string, args ...string) *Process {
	tb.Helper()
	return StartWithFiles(tb, nil, path, args...)
}

// StartWithFiles is like Start for a program that gets files as its descriptors from 3 on.
func StartWithFiles(tb testing.TB, files []*os.File, path string, args ...string) *Process {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	p := &Process{tb: tb, cmd: exec.CommandContext(ctx, path, args...), cancel: cancel}
	p.cmd.ExtraFiles = files
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	p.lines = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cancel()
		_ = p.cmd.Wait() // a second time if the test called Wait
	})
	return p
}

// Line returns the next line that the program prints.
func (p *Process) Line() string {
	p.tb.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.tb.Fatalf("%v: %v after %q", p.cmd, err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

// After returns the rest of the next line, which must begin with prefix.
func (p *Process) After(prefix string) string {
	p.tb.Helper()
	line := p.Line()
	rest, ok := strings.CutPrefix(line, prefix)
	if !ok {
		p.tb.Fatalf("%v printed %q, not %q", p.cmd, line, prefix)
	}
	return rest
}

// Signal sends a signal to the program.
func (p *Process) Signal(signal os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.tb.Fatal(err)
	}
}

// Wait waits for the program to end, and returns the rest of its output and its exit code.
func (p *Process) Wait() (rest string, code int) {
	p.tb.Helper()
	out, err := io.ReadAll(p.lines)
	if err != nil {
		p.tb.Fatal(err)
	}
	_ = p.cmd.Wait() // the exit code tells
	p.cancel()
	return string(out), p.cmd.ProcessState.ExitCode()
}
