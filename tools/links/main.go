// Command links checks the links of a repository: that those in Markdown files lead to files and headings that
// exist, and those in doc comments to symbols that exist. It does not follow links to other sites.
//
//	go -C tools run ./links ..
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	root := ".."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	broken, err := check(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, b := range broken {
		fmt.Println(b)
	}
	if len(broken) > 0 {
		os.Exit(1)
	}
}

// check returns the broken links under root.
func check(root string) (broken []string, err error) {
	var packages []string
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			found, err := checkMarkdown(path)
			broken = append(broken, found...)
			return err
		case strings.HasSuffix(name, ".go") && !slices.Contains(packages, filepath.Dir(path)):
			packages = append(packages, filepath.Dir(path))
		}
		return nil
	})
	for _, dir := range packages {
		if err != nil {
			break
		}
		var found []string
		found, err = checkDocs(dir)
		broken = append(broken, found...)
	}
	return broken, err
}
