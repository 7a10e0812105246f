package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	// [text](target), [name]: target, and src="…" or srcset="…" of HTML.
	links   = regexp.MustCompile(`\]\(([^)\s]+)\)|^\[[^]]+\]:\s+(\S+)|\b(?:src|srcset|href)="([^"]+)"`)
	heading = regexp.MustCompile(`^#+\s+(.*)`)
)

// checkMarkdown returns the broken links of a Markdown file.
func checkMarkdown(path string) (broken []string, err error) {
	lines, err := prose(path)
	if err != nil {
		return nil, err
	}
	for number, line := range lines {
		for _, match := range links.FindAllStringSubmatch(line, -1) {
			target := match[1] + match[2] + match[3]
			if reason := follow(path, target); reason != "" {
				broken = append(broken, fmt.Sprintf("%s:%d: %s: %s", path, number+1, target, reason))
			}
		}
	}
	return broken, nil
}

// prose returns the lines of a file, with those of code blocks empty.
func prose(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	code := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if code || fence {
			lines[i] = ""
		}
		code = code != fence
	}
	return lines, nil
}

// follow returns what is wrong with a link in the file from, or "".
func follow(from, target string) string {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case u.Scheme != "" || u.Host != "":
		return ""
	}
	path := from
	if u.Path != "" {
		path = filepath.Join(filepath.Dir(from), u.Path)
	}
	if _, err := os.Stat(path); err != nil {
		return "no such file"
	}
	if u.Fragment == "" || !strings.HasSuffix(path, ".md") {
		return ""
	}
	lines, err := prose(path)
	if err != nil {
		return err.Error()
	}
	if !slices.ContainsFunc(lines, func(line string) bool {
		match := heading.FindStringSubmatch(line)
		return match != nil && anchor(match[1]) == u.Fragment
	}) {
		return "no such heading"
	}
	return ""
}

// anchor returns the anchor that GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}
