// Package pages_test looks at the documentation as pkg.go.dev shows it. To look at it yourself: go -C tools tool pkgsite ..
package pages_test

import (
	"go/doc"
	"go/doc/comment"
	"html"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/go/packages"
)

// serve runs pkgsite for the module and returns the address of the site.
func serve(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pkgsite")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "golang.org/x/pkgsite/cmd/pkgsite").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cmd := exec.CommandContext(t.Context(), path, "-list=false", "-http", address, "../..")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said strings.Builder
	for b := make([]byte, 4096); !strings.Contains(said.String(), "Listening on"); {
		n, err := log.Read(b)
		if err != nil {
			t.Fatalf("pkgsite ended: %v\n%s", err, &said)
		}
		said.Write(b[:n])
	}
	go io.Copy(io.Discard, log) //nolint:errcheck // until pkgsite ends
	return "http://" + address
}

// A site remembers the pages that it has shown.
type site struct {
	t       *testing.T
	address string
	pages   map[string]string
}

// page returns a page, or "" if there is none.
func (s *site) page(path string) string {
	if page, ok := s.pages[path]; ok {
		return page
	}
	client := http.Client{Timeout: time.Minute}
	response, err := client.Get(s.address + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	page := ""
	if response.StatusCode == http.StatusOK {
		page = string(body)
	}
	s.pages[path] = page
	return page
}

var (
	links   = regexp.MustCompile(`(?:href|src|srcset)="([^"]*)"`)
	version = regexp.MustCompile(`@v[^/#?]*`)
)

// broken returns why a link on a page leads nowhere, or "". Other sites, other modules and source files are not followed.
func (s *site) broken(module, page, link string) string {
	path, fragment, _ := strings.Cut(version.ReplaceAllString(html.UnescapeString(link), ""), "#")
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path != "" && !strings.HasPrefix(path, "/"), strings.Contains(path, "?"), first == "files", first == "static":
		return ""
	case strings.Contains(first, ".") && path != "/"+module && !strings.HasPrefix(path, "/"+module+"/"):
		return ""
	}
	if path == "" {
		path = page
	}
	text := s.page(path)
	if text == "" {
		return "no such page"
	}
	if fragment != "" && !strings.Contains(text, `id="`+html.EscapeString(fragment)+`"`) {
		return "nothing of that name on the page"
	}
	return ""
}

func TestPages(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedSyntax | packages.NeedFiles | packages.NeedModule | packages.NeedForTest, Dir: "../..", Tests: true,
	}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, serve(t), make(map[string]string)}
	for _, pkg := range loaded {
		if pkg.Name == "main" || pkg.ForTest != "" || strings.Contains(pkg.PkgPath, "/internal/") || strings.HasSuffix(pkg.PkgPath, ".test") {
			continue
		}
		t.Run(pkg.PkgPath, func(t *testing.T) {
			page := s.page("/" + pkg.PkgPath)
			if page == "" {
				t.Fatal("no page")
			}
			anchors := contents(t, pkg, loaded)
			if !slices.ContainsFunc(anchors, func(anchor string) bool { return strings.HasPrefix(anchor, "example-") }) {
				t.Error("no examples")
			}
			for _, want := range anchors {
				if !strings.Contains(page, `id="`+want+`"`) {
					t.Errorf("%s is missing", want)
				}
			}
			seen := make(map[string]bool)
			for _, match := range links.FindAllStringSubmatch(page, -1) {
				if link := match[1]; !seen[link] {
					seen[link] = true
					if why := s.broken(pkg.Module.Path, "/"+pkg.PkgPath, link); why != "" {
						t.Errorf("link to %s: %s", link, why)
					}
				}
			}
			t.Logf("%d anchors, %d links", len(anchors), len(seen))
		})
	}
	for _, want := range []string{`id="readme-model"`, "<table>", "chart-light.svg"} {
		if root := s.page("/" + loaded[0].Module.Path); !strings.Contains(root, want) {
			t.Errorf("README: no %s", want)
		}
	}
}

// contents returns the anchors that the page of a package must have: those of its symbols, examples and headings.
func contents(t *testing.T, pkg *packages.Package, all []*packages.Package) (anchors []string) {
	t.Helper()
	files := slices.Clone(pkg.Syntax)
	for _, test := range all {
		if test.ForTest == pkg.PkgPath && strings.HasPrefix(test.PkgPath, pkg.PkgPath+"_test") {
			files = append(files, test.Syntax...)
		}
	}
	docs, err := doc.NewFromFiles(pkg.Fset, files, pkg.PkgPath)
	if err != nil {
		t.Fatal(err)
	}
	examples := func(of string, list []*doc.Example) {
		for _, e := range list {
			anchor := "example-" + of
			if e.Suffix != "" {
				anchor += "-" + strings.ToUpper(e.Suffix[:1]) + e.Suffix[1:]
			}
			anchors = append(anchors, anchor)
		}
	}
	funcs := func(of string, list []*doc.Func) {
		for _, f := range list {
			anchors = append(anchors, of+f.Name)
			examples(of+f.Name, f.Examples)
		}
	}
	examples("package", docs.Examples)
	funcs("", docs.Funcs)
	for _, typ := range docs.Types {
		anchors = append(anchors, typ.Name)
		examples(typ.Name, typ.Examples)
		funcs("", typ.Funcs)
		funcs(typ.Name+".", typ.Methods)
	}
	for _, block := range docs.Parser().Parse(docs.Doc).Content {
		if heading, ok := block.(*comment.Heading); ok {
			anchors = append(anchors, heading.DefaultID())
		}
	}
	return anchors
}
