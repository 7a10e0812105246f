// Command snippets type-checks the Go code in Markdown files against the module as it is. Code that is shown
// leaves things out, so unknown variables and functions of lower case are taken for the reader's own, and a line
// with nothing but an ellipsis for any code. Code that is copied from a file of the module says so after the word go
// (```go file=example_test.go) and must be there as it is shown.
//
//	go -C tools run ./snippets ../README.md ../docs/*.md
package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// rootDir is the directory of the module that the code uses.
var rootDir = ".."

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		problems, err := check(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, p := range problems {
			fmt.Println(p)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check returns what is wrong with the code in a Markdown file.
func check(path string) (problems []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	overlay := make(map[string][]byte)
	root, err := filepath.Abs(rootDir)
	if err != nil {
		return nil, err
	}
	for _, s := range snippets(string(text)) {
		if s.source != "" {
			source, err := os.ReadFile(filepath.Join(rootDir, s.source))
			if err != nil {
				return nil, err
			}
			if !strings.Contains(string(source), s.code) {
				problems = append(problems, fmt.Sprintf("%s:%d: not as in %s", path, s.line, s.source))
			}
			continue
		}
		// Each snippet is a package of its own, so that names can be used again.
		file := filepath.Join(root, "internal", "snippet"+strconv.Itoa(s.line), "snippet.go")
		overlay[file] = []byte(s.file(path))
	}
	if len(overlay) == 0 {
		return problems, nil
	}
	var patterns []string
	for file := range overlay {
		patterns = append(patterns, "file="+file)
	}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
		Dir:  root, Overlay: overlay,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	for _, pkg := range loaded {
		for _, e := range pkg.Errors {
			if !isReaders(e) {
				problems = append(problems, fmt.Sprintf("%s: %s", e.Pos, e.Msg))
			}
		}
	}
	return problems, nil
}

// readers are the errors about what is left out.
var readers = regexp.MustCompile(`^undefined: [a-z]\w*$|declared and not used|^missing return$|is not used$|imported and not used$`)

func isReaders(e packages.Error) bool { return readers.MatchString(e.Msg) }

type snippet struct {
	line   int // of its first line in the Markdown file
	code   string
	source string // the file that it is copied from, if any
}

// snippets returns the blocks of Go code in a Markdown file.
func snippets(markdown string) (all []snippet) {
	var current *snippet
	for i, line := range strings.Split(markdown, "\n") {
		switch {
		case current == nil && strings.HasPrefix(line, "```go"):
			_, source, _ := strings.Cut(line, " file=")
			current = &snippet{line: i + 2, source: source}
		case current != nil && strings.HasPrefix(line, "```"):
			all = append(all, *current)
			current = nil
		case current != nil:
			if strings.Trim(line, " \t.…") == "" {
				line = ""
			}
			current.code += line + "\n"
		}
	}
	return all
}

// importPaths are the packages that snippets use without saying so.
var importPaths = []string{
	"context", "errors", "expvar", "fmt", "log", "log/slog", "net", "net/netip", "os", "os/signal", "runtime", "strings", "sync",
	"syscall", "testing", "testing/synctest", "time",
	"example.com/datagram", "example.com/datagram/datagramtest", "example.com/datagram/session",
}

// The variables that snippets may use without saying so.
const variables = `ctx context.Context, conn *datagram.Conn, d datagram.Datagram, c *datagram.Conn, group *datagram.Group, t *testing.T`

// file returns a snippet as a Go file.
func (s snippet) file(markdown string) string {
	body := s.code
	if !isFile(body) {
		body = fmt.Sprintf("func _(%s) error {\n//line %s:%d\n%s\n}", variables, markdown, s.line, body)
	} else {
		body = fmt.Sprintf("//line %s:%d\n%s", markdown, s.line, body)
	}
	if strings.HasPrefix(strings.TrimSpace(s.code), "package ") {
		return s.code
	}
	header := "package snippet\n"
	for _, path := range importPaths {
		name := path[strings.LastIndex(path, "/")+1:]
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(body) {
			header += fmt.Sprintf("import %q\n", path)
		}
	}
	return header + body
}

// isFile reports whether code consists of declarations.
func isFile(code string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
	return err == nil
}
