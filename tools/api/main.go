// Command api compares the exported API with that of the last release, which a file lists one feature a line, as Go's own
// api/*.txt do. It prints the lines that are new and those that are gone, and fails for the latter: what a line describes
// has been removed, or has changed.
//
//	go -C tools run ./api api/v0.1.0.txt
//	go -C tools run ./api -write api/v0.2.0.txt
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// systems are those that the packages support.
var systems = []string{"darwin", "freebsd", "linux", "netbsd", "openbsd", "windows"}

func main() {
	write := flag.Bool("write", false, "write the file")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: api [-write] FILE")
		os.Exit(2)
	}
	gone, err := run(flag.Arg(0), *write)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if gone {
		fmt.Fprintf(os.Stderr, "the API is incompatible with %s\n", flag.Arg(0))
		os.Exit(1)
	}
}

func run(file string, write bool) (gone bool, err error) {
	current, err := exported("..")
	if err != nil {
		return false, err
	}
	if write {
		return false, os.WriteFile(file, []byte(strings.Join(current, "\n")+"\n"), 0o666)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	released := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range without(current, released) {
		fmt.Println("+", line)
	}
	removed := without(released, current)
	for _, line := range removed {
		fmt.Println("-", line)
	}
	return len(removed) > 0, nil
}

// without returns what all contains and some does not.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(line string) bool { return slices.Contains(some, line) })
}

// exported returns the features of the public packages of the module in dir, sorted. A feature that not all systems have
// names those that do.
func exported(dir string) ([]string, error) {
	has := make(map[string][]string) // the systems by feature
	for _, system := range systems {
		loaded, err := packages.Load(&packages.Config{
			Mode: packages.NeedName | packages.NeedTypes | packages.NeedSyntax | packages.NeedImports | packages.NeedDeps,
			Dir:  dir,
			Env:  append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS="+system),
		}, "./...")
		if err != nil {
			return nil, err
		}
		if packages.PrintErrors(loaded) > 0 {
			return nil, fmt.Errorf("the packages do not compile for %s", system)
		}
		for _, pkg := range loaded {
			if pkg.Name == "main" || strings.Contains(pkg.PkgPath, "/internal/") {
				continue
			}
			for _, feature := range features(pkg.Types) {
				has[feature] = append(has[feature], system)
			}
		}
	}
	lines := make([]string, 0, len(has))
	for feature, on := range has {
		if len(on) < len(systems) {
			pkg, rest, _ := strings.Cut(feature, ", ")
			feature = fmt.Sprintf("%s (%s), %s", pkg, strings.Join(on, " "), rest)
		}
		lines = append(lines, feature)
	}
	slices.Sort(lines)
	return lines, nil
}
