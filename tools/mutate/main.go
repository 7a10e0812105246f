// Command mutate checks that the tests detect mistakes. It applies the mutations in mutations.txt one at a
// time and runs the tests that must then fail.
//
//	make mutate                # all: about an hour on two cores
//	make mutate ARGS=sender    # those of files whose path contains "sender"
//
// It fails if a mutation survives, or if one cannot be applied because the code has changed. The files
// themselves stay as they are: go test gets the mutated one as an overlay.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutations.txt consists of paragraphs. Each starts with a file, followed by the packages of which the tests
// of one must fail, by default that of the file; "." stands for all of rootTests. Then come consecutive lines
// of the file, marked "-", and the lines that replace them, if any, marked "+". The lines must occur exactly
// once in the file; indentation is ignored.
//
//go:embed mutations.txt
var list string

// rootTests are the packages that test the one in the root.
var rootTests = []string{".", "./internal/systemtest", "./internal/libuvtest"}

type mutation struct {
	file          string
	packages      []string
	before, after []string
}

func (m mutation) String() string {
	return fmt.Sprintf("%s: %s -> %s", m.file, strings.Join(m.before, "; "), strings.Join(m.after, "; "))
}

func parse(paragraph string) (m mutation, err error) {
	head, lines, _ := strings.Cut(paragraph, "\n")
	fields := strings.Fields(head)
	m.file = fields[0]
	packages := fields[1:]
	if len(packages) == 0 {
		packages = []string{"./" + filepath.Dir(m.file)} // "./." for the root
	}
	for _, p := range packages {
		if path.Clean(p) == "." {
			m.packages = append(m.packages, rootTests...)
		} else {
			m.packages = append(m.packages, p)
		}
	}
	for line := range strings.SplitSeq(lines, "\n") {
		switch {
		case strings.HasPrefix(line, "-") && len(m.after) == 0:
			m.before = append(m.before, strings.TrimSpace(line[1:]))
		case strings.HasPrefix(line, "+"):
			m.after = append(m.after, strings.TrimSpace(line[1:]))
		default:
			return m, fmt.Errorf("not a mutation:\n%s", paragraph)
		}
	}
	if len(m.before) == 0 {
		return m, fmt.Errorf("nothing to mutate:\n%s", paragraph)
	}
	return m, nil
}

// apply returns the mutated file.
func (m mutation) apply(root string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(source), "\n")
	bare := make([]string, len(lines))
	for i, line := range lines {
		bare[i] = strings.TrimSpace(line)
	}
	at, found := 0, 0
	for i := range len(lines) - len(m.before) + 1 {
		if slices.Equal(bare[i:i+len(m.before)], m.before) {
			at, found = i, found+1
		}
	}
	if found != 1 {
		return "", fmt.Errorf("found %d times: %s", found, m)
	}
	return strings.Join(slices.Replace(lines, at, at+len(m.before), m.after...), "\n"), nil
}

// failed matches the name of a failed test.
var failed = regexp.MustCompile(`--- FAIL: (\S+)`)

// killer returns what detected the mutation: the name of a test, or how the tests ended. It is empty if
// nothing did.
func (m mutation) killer(root string) (string, error) {
	mutated, err := m.apply(root)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): file}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, []byte(mutated), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return "", err
	}
	for _, p := range m.packages {
		out, err := test(root, []string{p}, "-overlay="+overlay)
		if err == nil {
			continue
		}
		if strings.Contains(out, "[build failed]") {
			return "", fmt.Errorf("does not compile:\n%s", out)
		}
		if strings.Contains(out, "panic: test timed out") {
			return "hangs", nil
		}
		if match := failed.FindStringSubmatch(out); match != nil {
			return match[1], nil
		}
		return "crashes", nil
	}
	return "", nil
}

// test runs the tests of packages. A hang is a failure; without a mutation the tests take half a minute.
func test(root string, packages []string, flags ...string) (string, error) {
	args := slices.Concat([]string{"test", "-failfast", "-vet=off", "-timeout=2m"}, flags, packages)
	command := exec.Command("go", args...)
	command.Dir = root
	out, err := command.CombinedOutput()
	return string(out), err
}

func run() error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	only := strings.Join(os.Args[1:], " ")
	var mutations []mutation
	var packages []string
	var rotten []error
	for paragraph := range strings.SplitSeq(strings.TrimSpace(list), "\n\n") {
		m, err := parse(paragraph)
		if err == nil {
			_, err = m.apply(root)
		}
		rotten = append(rotten, err)
		if strings.Contains(m.file, only) {
			mutations = append(mutations, m)
			packages = append(packages, m.packages...)
		}
	}
	if err := errors.Join(rotten...); err != nil {
		return err
	}
	if len(mutations) == 0 {
		return fmt.Errorf("no file's path contains %q", only)
	}
	slices.Sort(packages)
	if out, err := test(root, slices.Compact(packages)); err != nil {
		return fmt.Errorf("the tests fail without any mutation:\n%s", out)
	}
	killed := 0
	for _, m := range mutations {
		killer, err := m.killer(root)
		switch {
		case err != nil:
			killer = err.Error()
		case killer == "":
			killer = "SURVIVED"
		default:
			killed++
		}
		fmt.Printf("%s (%s)\n", m, killer)
	}
	if killed < len(mutations) {
		return fmt.Errorf("only %d of %d mutations were killed", killed, len(mutations))
	}
	fmt.Printf("%d mutations were killed\n", killed)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
