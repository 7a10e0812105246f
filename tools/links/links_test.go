package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"README.md": `# One thing
[a](docs/page.md) [b](docs/page.md#two-things-at-once) [c](#one-thing) [d](https://example.com/x)
[broken1](docs/none.md) [broken2](docs/page.md#three) [broken3](#two) <img src="broken4.svg">
` + "```\n[code](none.md)\n```\n",
		"docs/page.md": "## Two things, at once\n",
		"p/p.go": `// Package p has [F], [T.M], [T.Embedded], [net.UDPConn.File], [io.EOF], and not [Broken5], [T.Broken6], [net.Broken7].
package p

import "net"

// F calls nothing. See [RFC 768] and x[I].
func F() {}

// T is [T.M].
type T struct{ base }

// M is a method of [net.Conn].
func (*T) M(net.Conn) {}

type base struct{}

func (base) Embedded() {}
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	broken, err := check(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(broken, "\n")
	for _, want := range []string{
		"README.md:3: docs/none.md: no such file", "README.md:3: docs/page.md#three: no such heading", "README.md:3: #two: no such heading",
		"README.md:3: broken4.svg: no such file", "[Broken5] is no symbol", "[T.Broken6] is no symbol", "net has no Broken7",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if len(broken) != 8 { // x[I] looks like a link
		t.Errorf("reported:\n%s", all)
	}
}
