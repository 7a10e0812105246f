// Command mutate checks that the tests notice mistakes. It makes those of mutations.txt one at a time and runs the
// tests of the package, which have to fail.
//
//	go -C tools run ./mutate          # all of them: about a quarter of an hour on two cores
//	go -C tools run ./mutate sender   # those to files whose path contains "sender"
//
// The files stay as they are: go test gets the mutated one as an overlay.
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mutations.txt holds paragraphs: a file, a line of it that begins with "-", and one that begins with "+" to stand in its
// place. Indentation does not count. The line has to occur exactly once.
//
//go:embed mutations.txt
var list string

type mutation struct{ file, before, after string }

func parse(paragraph string) (mutation, error) {
	lines := strings.Split(paragraph, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "-") || !strings.HasPrefix(lines[2], "+") {
		return mutation{}, fmt.Errorf("not a mutation:\n%s", paragraph)
	}
	return mutation{lines[0], strings.TrimSpace(lines[1][1:]), strings.TrimSpace(lines[2][1:])}, nil
}

// apply returns the mutated file.
func (m mutation) apply(root string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(source), "\n")
	found := 0
	for i, line := range lines {
		if strings.TrimSpace(line) == m.before {
			lines[i] = m.after
			found++
		}
	}
	if found != 1 {
		return "", fmt.Errorf("%s: %d lines are %q", m.file, found, m.before)
	}
	return strings.Join(lines, "\n"), nil
}

// survives reports whether the tests pass all the same.
func (m mutation) survives(root string) (bool, error) {
	mutated, err := m.apply(root)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	file, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): file}})
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(file, []byte(mutated), 0o600); err != nil {
		return false, err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return false, err
	}
	test := exec.Command("go", "test", "-failfast", "-vet=off", "-timeout=60s", "-overlay="+overlay, "./"+filepath.Dir(m.file))
	test.Dir = root
	out, err := test.CombinedOutput()
	if strings.Contains(string(out), "[build failed]") {
		return false, fmt.Errorf("%s: %q does not compile:\n%s", m.file, m.after, out)
	}
	return err == nil, nil
}

func run() error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	only := strings.Join(os.Args[1:], " ")
	killed, survived := 0, 0
	for paragraph := range strings.SplitSeq(strings.TrimSpace(list), "\n\n") {
		m, err := parse(paragraph)
		if err != nil {
			return err
		}
		if !strings.Contains(m.file, only) {
			continue
		}
		alive, err := m.survives(root)
		if err != nil {
			return err
		}
		verdict := "killed  "
		if alive {
			verdict = "SURVIVED"
			survived++
		} else {
			killed++
		}
		fmt.Printf("%s %s: %s -> %s\n", verdict, m.file, m.before, m.after)
	}
	fmt.Printf("%d killed, %d survived\n", killed, survived)
	if survived > 0 {
		return fmt.Errorf("%d mutations survived", survived)
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
