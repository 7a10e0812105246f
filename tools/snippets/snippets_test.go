package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	rootDir = "../.."
	path := filepath.Join(t.TempDir(), "page.md")
	page := "```go\nerr := conn.Serve(ctx, func(d datagram.Datagram) {\n\t…\n\tconn.Send(ctx, d.Reply(answer(d.Payload)))\n})\n```\n" +
		"```go\nfunc f() { datagram.WithTTL(\"x\") }\n```\n```go\nn := conn.Stats().Foo\n```\n```sh\nnot Go\n```\n" +
		"```go file=conn.go\nfunc (c *Conn) Data() any { return *c.data.Load() }\n```\n" +
		"```go file=conn.go\nfunc (c *Conn) Data() any { return c.data }\n```\n"
	if err := os.WriteFile(path, []byte(page), 0o666); err != nil {
		t.Fatal(err)
	}
	problems, err := check(path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(problems, "\n")
	for _, want := range []string{"page.md:8: cannot use", "page.md:11: conn.Stats().Foo undefined", "page.md:20: not as in conn.go"} {
		if !strings.Contains(all, want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if len(problems) != 3 {
		t.Errorf("reported:\n%s", all)
	}
}
