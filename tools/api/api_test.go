package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

// list returns the features of a package.
func list(t *testing.T, source string) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", "package p\n"+source, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := new(types.Config).Check("p", files, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return features(pkg)
}

func TestChanges(t *testing.T) {
	const before = `
type T struct{ A int; b int }
func (T) M(x int) (err error) { return nil }
func (*T) P(func(y T) bool) {}
type I interface{ M(int) error }
type Closed interface{ M(int) error; closed() }
type Option func(*T)
const C = 1
var V, w error
func F(a, b int, rest ...string) {}
func hidden() {}
`
	for _, test := range []struct{ from, to, gone string }{
		{"func (T) M(x int) (err error)", "func (T) m(x int) (err error)", "pkg p, method (T) M(int) error"},
		{"func (T) M", "func (*T) M", "pkg p, method (T) M(int) error"},
		{"(*T) P(func(y T) bool)", "(*T) P(func(y T) int)", "pkg p, method (*T) P(func(T) bool)"},
		{"A int", "A int64", "pkg p, type T struct, A int"},
		{"b int }", "b []int }", "pkg p, type T struct, comparable"},
		{"I interface{", "I interface{ N();", "pkg p, type I interface { M(int) error }"},
		{"C = 1", "C = 2", "pkg p, const C untyped int = 1"},
		{"V, w error", "V, w any", "pkg p, var V error"},
		{"rest ...string", "rest []string", "pkg p, func F(int, int, ...string)"},
		{"type Option func(*T)", "type Option = func(*T)", "pkg p, type Option func(*T)"},
		// What breaks no program:
		{"x int", "y int", ""},
		{"(y T)", "(z T)", ""},
		{"b int }", "b, c int; D string }", ""},
		{"closed()", "closed(); N()", ""},
		{"func hidden() {}", "func New() {}", ""},
		{"func hidden() {}", "func (*T) New() {}", ""},
	} {
		after := strings.Replace(before, test.from, test.to, 1)
		if gone := strings.Join(without(list(t, before), list(t, after)), "\n"); gone != test.gone {
			t.Errorf("%s → %s: gone are %q, want %q", test.from, test.to, gone, test.gone)
		}
	}
}
