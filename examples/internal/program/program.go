// Package program builds and runs the examples in their tests.
package program

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// Patience is how long a program may take for anything that a test waits for.
const Patience = time.Minute

// Build builds the program in the current directory and returns its path.
func Build(tb testing.TB) string {
	tb.Helper()
	return BuildIn(tb, ".")
}

// BuildIn builds the program in a directory and returns its path. It has the race
// detector if the test has it.
func BuildIn(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "program")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	args := []string{"build", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	goTool(tb, dir, append(args, ".")...)

	// The result of the test depends on the sources. The go command would not know and
	// take it from its cache, unless it sees them being looked at.
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

// Need returns the path of a program of the system that a test needs. Without
// it the test is skipped, or fails if DATAGRAM_CI is set.
func Need(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("DATAGRAM_CI") == "1":
		tb.Fatalf("%s is not installed", name)
	default:
		tb.Skipf("%s is not installed", name)
	}
	return path
}

// Run runs a program to its end and returns what it printed and its exit code.
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

// A Process is a program that runs beside the test.
type Process struct {
	tb     testing.TB
	cmd    *exec.Cmd
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// Start starts a program, which does not outlive the test.
func Start(tb testing.TB, path string, args ...string) *Process {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	p := &Process{tb: tb, cmd: exec.CommandContext(ctx, path, args...), cancel: cancel}
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
		_ = p.cmd.Wait() // again, if the test went well
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

// After returns the rest of the next line, which has to begin with prefix.
func (p *Process) After(prefix string) string {
	p.tb.Helper()
	line := p.Line()
	rest, ok := strings.CutPrefix(line, prefix)
	if !ok {
		p.tb.Fatalf("%v printed %q, not %q", p.cmd, line, prefix)
	}
	return rest
}

// Signal sends the program a signal.
func (p *Process) Signal(signal os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.tb.Fatal(err)
	}
}

// Wait waits for the program's end and returns what else it printed and its exit
// code.
func (p *Process) Wait() (rest string, code int) {
	p.tb.Helper()
	out, err := io.ReadAll(p.lines)
	if err != nil {
		p.tb.Fatal(err)
	}
	_ = p.cmd.Wait() // the exit code says it
	p.cancel()
	return string(out), p.cmd.ProcessState.ExitCode()
}
