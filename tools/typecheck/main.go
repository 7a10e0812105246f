// Command typecheck checks that a module compiles for other platforms, tests included. It type-checks all
// packages from source, including the standard library, and generates no code, which takes a tenth of the
// time of a build.
//
//	go -C tools run ./typecheck openbsd/386 windows/arm64
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

// check prints what does not compile for a platform, and reports whether everything does.
func check(platform string) (ok bool) {
	system, arch, _ := strings.Cut(platform, "/")
	all, err := packages.Load(&packages.Config{
		Mode:  packages.LoadAllSyntax,
		Tests: true,
		Dir:   "..",
		Env:   append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch),
	}, "./...")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return false
	}
	return packages.PrintErrors(all) == 0
}

func main() {
	var failed []string
	for _, platform := range os.Args[1:] {
		fmt.Println(platform)
		if !check(platform) {
			failed = append(failed, platform)
		}
	}
	if len(failed) > 0 {
		fmt.Fprintln(os.Stderr, "failed:", strings.Join(failed, " "))
		os.Exit(1)
	}
}
