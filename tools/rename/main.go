// Command rename changes the path of the module in every file that contains it: go.mod and imports, the
// configuration of tools, scripts and documentation. A formatter must then sort the imports.
//
//	make rename NEW=github.com/you/datagram
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// rename replaces a module's path in all files below root, except those of git and the contents of bin.
func rename(root, path string) error {
	if err := module.CheckPath(path); err != nil {
		return err
	}
	if _, version, _ := module.SplitPathVersion(path); version != "" {
		return fmt.Errorf("%s: leave out the version: nothing of that name has been published", path)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	old := modfile.ModulePath(mod)
	if old == "" {
		return errors.New("go.mod names no module")
	}
	named := regexp.MustCompile(`\b` + regexp.QuoteMeta(old) + `\b`)
	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || file == filepath.Join(root, "bin")):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		before, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		after := named.ReplaceAllLiteral(before, []byte(path))
		if bytes.Equal(after, before) {
			return nil
		}
		return os.WriteFile(file, after, 0) // keeps the mode
	})
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rename PATH")
		os.Exit(2)
	}
	if err := rename("..", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
