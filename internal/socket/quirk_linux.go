package socket

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// corrupting are releases of Linux, from first to last, that corrupt what they
// segment. No error tells, and nothing shows it at run time. Distributions patch
// kernels without changing these numbers, so the table errs towards caution.
var corrupting = []struct{ first, last version }{
	// Commit b10b446 (7.0-rc1) mangles the UDP header of batches of equal
	// datagrams on some drivers. Commits 78effd8 and 5f17ae0 fix it
	// (github.com/tailscale/tailscale/issues/19918). Users needed 7.1.5 for them
	// (issues/21335); some releases of 7.0 have them too (issues/20994).
	{version{7, 0, 0}, version{7, 1, 4}},
}

// version is a release of Linux: version, patch level and sublevel.
type version [3]int

// parseVersion reads what uname(2) calls the release: 7.0.3-arch1-1, 7.1.0-rc5,
// 7.0-custom. A number that it cannot read is 0.
func parseVersion(release string) (v version) {
	for i := range v {
		end := strings.IndexFunc(release, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(release)
		}
		v[i], _ = strconv.Atoi(release[:end])
		if !strings.HasPrefix(release[end:], ".") {
			break
		}
		release = release[end+1:]
	}
	return v
}

func (v version) before(other version) bool {
	for i := range v {
		if v[i] != other[i] {
			return v[i] < other[i]
		}
	}
	return false
}

// corruptsSegments reports whether a release is in the table.
func corruptsSegments(release string) bool {
	v := parseVersion(release)
	for _, c := range corrupting {
		if !v.before(c.first) && !c.last.before(v) {
			return true
		}
	}
	return false
}

// distrustSegments returns why not to use segmentation on a release. If the
// program insists, there is no reason.
func (l *Limits) distrustSegments(release string) error {
	if l.Insist || !corruptsSegments(release) {
		return nil
	}
	return fmt.Errorf("segments may be corrupted by Linux %s", release)
}

// release is that of the running kernel.
var release = sync.OnceValue(func() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
})
