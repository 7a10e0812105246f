package tools_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// run runs a script. fakes are shell scripts that replace the programs of these names. They may write to the
// file $FAKE_LOG, whose contents run returns.
func run(t *testing.T, fakes map[string]string, script string, args ...string) (log string, err error) {
	t.Helper()
	dir := t.TempDir()
	for name, body := range fakes {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "log")
	cmd := exec.CommandContext(t.Context(), "./"+script, args...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "FAKE_LOG="+file)
	out, err := cmd.CombinedOutput()
	t.Logf("%s %q: %v\n%s", script, args, err, out)
	written, _ := os.ReadFile(file)
	return string(written), err
}

func TestFuzzFailsForInputs(t *testing.T) {
	for name, test := range map[string]struct {
		output string
		fails  bool
	}{
		"issue 75804": {"--- FAIL: FuzzX (3.05s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tx\t3.06s\n", false},
		"an input": {"--- FAIL: FuzzX (1.05s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:9: context deadline exceeded\n" +
			"    Failing input written to testdata/fuzz/FuzzX/1\nFAIL\n", true},
		"an input at the deadline": {"--- FAIL: FuzzX (1.05s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\nFAIL\n", true},
		"an old input":             {"failure while testing seed corpus entry: FuzzX/seed#0\n--- FAIL: FuzzX (0.02s)\n    context deadline exceeded\nFAIL\n", true},
		"a test that says so":      {"--- FAIL: FuzzX (0.02s)\n    x_test.go:9: context deadline exceeded\nFAIL\n", true},
		"a build":                  {"FAIL\tx [build failed]\nFAIL\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			fake := `case "$*" in
*-list*) printf 'FuzzX\nFuzzY\nok  \tx\t0.1s\n' ;;
*FuzzX*) echo 1 >>$FAKE_LOG; printf '%s' "$FAKE_OUTPUT"; exit 1 ;;
*) echo 2 >>$FAKE_LOG ;;
esac
`
			t.Setenv("FAKE_OUTPUT", test.output)
			log, err := run(t, map[string]string{"go": fake}, "fuzz.sh", "3s")
			if want := map[bool]string{true: "1\n", false: "1\n2\n"}[test.fails]; log != want || (err != nil) != test.fails {
				t.Errorf("ran %q, %v; want %q", log, err, want)
			}
		})
	}
}

func TestAptGetWaitsForLocks(t *testing.T) {
	for _, test := range []struct {
		complaint, calls string
		fails            bool
	}{
		{"Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)", "install x\ninstall x\ninstall x\n", false},
		{"Unable to locate package x", "install x\n", true},
	} {
		fakes := map[string]string{
			"apt-get": `echo "$*" >>$FAKE_LOG; [ $(wc -l <$FAKE_LOG) -lt 3 ] || exit 0; echo "E: ` + test.complaint + `"; exit 100`,
			"sleep":   "",
		}
		if log, err := run(t, fakes, "apt-get.sh", "install", "x"); log != test.calls || (err != nil) != test.fails {
			t.Errorf("%s: called with %q, %v; want %q", test.complaint, log, err, test.calls)
		}
	}
}

func TestEmulated386(t *testing.T) {
	const others = `arm64 test -exec qemu-aarch64-static .*\ns390x test -exec qemu-s390x-static .*\n$`
	for probe, want := range map[string]string{
		"exit 0": `^386 test -short \./\.\.\.\n` + others,
		"echo 'fork/exec: exec format error' >&2; exit 1": `^386 test -exec .*GODEBUG=asyncpreemptoff=1 qemu-i386-static -skip \S+ -timeout 5m -short \. .*\n` + others,
	} {
		fake := `case $1 in
run) ` + probe + ` ;;
list) printf '.\n./internal/socket\n./internal/systemtest\n' ;;
*) echo "$GOARCH $*" >>$FAKE_LOG ;;
esac`
		log, err := run(t, map[string]string{"go": fake}, "emulated.sh", "-short")
		if err != nil || !regexp.MustCompile(want).MatchString(log) || strings.Contains(log, "systemtest") {
			t.Errorf("probe %q: ran, %v:\n%s", probe, err, strings.TrimSpace(log))
		}
	}
}
