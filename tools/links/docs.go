package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// A package's symbols by import path: "Name", "Type.Name", and ".Name" for a method of an unexported type, which
// other types may embed.
var symbols = make(map[string]map[string]bool)

// unresolved is the text of what was meant as a link to a symbol of the package.
var unresolved = regexp.MustCompile(`\[\*?[A-Z]\w*(\.[A-Z]\w*)?\]`)

// checkDocs returns the broken links in the doc comments of the package in dir, on all systems, and in those of
// its tests' examples.
func checkDocs(dir string) (broken []string, err error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseDir(files, dir, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	own := make(map[string]bool)
	for _, pkg := range parsed {
		collect(pkg, own)
	}
	for _, pkg := range parsed {
		for _, file := range pkg.Files {
			c := checker{dir: dir, files: files, file: file, own: own}
			ast.Inspect(file, c.inspect)
			broken = append(broken, c.broken...)
		}
	}
	return broken, nil
}

// collect notes the symbols of a package.
func collect(pkg *ast.Package, into map[string]bool) {
	for _, file := range pkg.Files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				recv := receiver(d)
				into[recv+d.Name.Name] = true
				if recv != "" && !ast.IsExported(recv) {
					into["."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					collectSpec(spec, into)
				}
			}
		}
	}
}

func collectSpec(spec ast.Spec, into map[string]bool) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			into[name.Name] = true
		}
	case *ast.TypeSpec:
		into[s.Name.Name] = true
		if t, ok := s.Type.(*ast.InterfaceType); ok {
			for _, method := range t.Methods.List {
				for _, name := range method.Names {
					into[s.Name.Name+"."+name.Name] = true
				}
			}
		}
	}
}

// receiver returns the name of a method's receiver type and a dot.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}

// A checker looks at the doc comments of a file.
type checker struct {
	dir    string
	files  *token.FileSet
	file   *ast.File
	own    map[string]bool
	broken []string
}

func (c *checker) inspect(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.File:
		c.check(n.Doc)
	case *ast.GenDecl:
		c.check(n.Doc)
	case *ast.FuncDecl:
		c.check(n.Doc)
		return false // comments in the body are no documentation
	case *ast.TypeSpec:
		c.check(n.Doc)
	case *ast.ValueSpec:
		c.check(n.Doc)
	case *ast.Field:
		c.check(n.Doc)
	}
	return true
}

func (c *checker) check(group *ast.CommentGroup) {
	if group == nil {
		return
	}
	report := func(format string, args ...any) {
		c.broken = append(c.broken, fmt.Sprintf("%v: ", c.files.Position(group.Pos()))+fmt.Sprintf(format, args...))
	}
	p := comment.Parser{
		LookupPackage: c.lookupPackage,
		LookupSym: func(recv, name string) bool {
			return c.own[strings.TrimPrefix(recv+"."+name, ".")] || recv != "" && c.own[recv] && c.own["."+name]
		},
	}
	walk(p.Parse(group.Text()), func(t comment.Text) {
		switch t := t.(type) {
		case comment.Plain:
			for _, text := range unresolved.FindAllString(string(t), -1) {
				report("%s is no symbol of the package", text)
			}
		case *comment.DocLink:
			if t.ImportPath == "" || t.Name == "" {
				return
			}
			name := strings.TrimPrefix(t.Recv+"."+t.Name, ".")
			if known := c.imported(t.ImportPath); known != nil && !known[name] && (t.Recv == "" || !known["."+t.Name]) {
				report("%s has no %s", t.ImportPath, name)
			}
		}
	})
}

// lookupPackage resolves the name of a package that the file imports, or of the standard library.
func (c *checker) lookupPackage(name string) (path string, ok bool) {
	for _, spec := range c.file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if spec.Name != nil && spec.Name.Name == name || spec.Name == nil && path[strings.LastIndex(path, "/")+1:] == name {
			return path, true
		}
	}
	return comment.DefaultLookupPackage(name)
}

// imported returns the symbols of another package, or nil if it cannot be found from dir.
func (c *checker) imported(path string) map[string]bool {
	known, ok := symbols[path]
	if ok {
		return known
	}
	if pkg, err := build.Default.Import(path, c.dir, build.FindOnly); err == nil {
		if parsed, err := parser.ParseDir(token.NewFileSet(), filepath.Clean(pkg.Dir), nil, 0); err == nil {
			known = make(map[string]bool)
			for _, p := range parsed {
				collect(p, known)
			}
		}
	}
	symbols[path] = known
	return known
}

// walk calls f for all text of a doc comment but code.
func walk(d *comment.Doc, f func(comment.Text)) {
	var blocks func([]comment.Block)
	texts := func(list []comment.Text) {
		for _, t := range list {
			f(t)
		}
	}
	blocks = func(list []comment.Block) {
		for _, b := range list {
			switch b := b.(type) {
			case *comment.Paragraph:
				texts(b.Text)
			case *comment.Heading:
				texts(b.Text)
			case *comment.List:
				for _, item := range b.Items {
					blocks(item.Content)
				}
			}
		}
	}
	blocks(d.Content)
}
