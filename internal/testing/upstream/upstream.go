// Package upstream runs the tests of other modules over this one: a library's own tests are the best
// account of what it expects of a connection.
package upstream

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/datagram/internal/testing/testenv"
)

// An Edit replaces text in the files of a module that match a pattern of [filepath.Glob]. One of them
// must contain it.
type Edit struct{ File, Old, New string }

// Test runs tests of a module that the current one requires, in a copy with edits. args are those of
// go test.
func Test(t *testing.T, module string, edits []Edit, args ...string) {
	t.Helper()
	if err := run(t, module, edits, args...); err != nil {
		t.Error(err)
	}
}

func run(t *testing.T, module string, edits []Edit, args ...string) error {
	t.Helper()
	testenv.Program(t, "go")
	original, err := goTool(t, "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return err
	}
	main, err := goTool(t, "env", "GOMOD")
	if err != nil {
		return err
	}
	dir := t.TempDir()
	edited := filepath.Join(dir, "edited")
	if err := os.CopyFS(edited, os.DirFS(original)); err != nil {
		return err
	}
	for _, e := range edits {
		if err := e.apply(edited); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(main), name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			return err
		}
	}
	modfile := filepath.Join(dir, "go.mod")
	if _, err := goTool(t, "mod", "edit", "-replace", module+"="+edited, modfile); err != nil {
		return err
	}
	// With trimmed paths the build cache serves the next copy too.
	command := []string{"test", "-modfile", modfile, "-trimpath", "-count=1"}
	if testenv.RaceEnabled {
		command = append(command, "-race")
	}
	out, err := goTool(t, append(command, args...)...)
	if err == nil && strings.Contains(out, "[no tests to run]") {
		err = fmt.Errorf("go test %q ran no test", args)
	}
	return err
}

func (e Edit) apply(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, e.File))
	if err != nil {
		return err
	}
	found := false
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), e.Old) {
			continue
		}
		found = true
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), e.Old, e.New)), 0); err != nil { // keeps the mode
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s does not contain %q", e.File, e.Old)
	}
	return nil
}

// goTool runs the go command and returns its output.
func goTool(t *testing.T, args ...string) (string, error) {
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
