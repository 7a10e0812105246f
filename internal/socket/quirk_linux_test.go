package socket

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCorruptsSegments(t *testing.T) {
	for release, want := range map[string]bool{
		"":                    false,
		"unknown":             false,
		"4.18.0-553.el8":      false,
		"6.18.44":             false,
		"6.19.14-generic":     false,
		"7.0.0-rc1":           true,
		"7.0.0":               true,
		"7.0":                 true,
		"7.0-custom":          true,
		"7.0.14-1-default":    true,
		"7.0.200":             true,
		"7.1.0-rc5+":          true,
		"7.1":                 true,
		"7.1.4-arch1-1":       true,
		"7.1.5":               false,
		"7.1.5-arch1-1":       false,
		"7.1.40":              false,
		"7.2.0":               false,
		"7.10.1":              false,
		"17.0.1":              false,
		"70.1.4":              false,
		"7.99999999999999999": false,
	} {
		if got := corruptsSegments(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

func TestDistrustSegments(t *testing.T) {
	const bad = "7.0.3-custom"
	if err := (&Limits{}).distrustSegments(bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("%v, want an error that names %s", err, bad)
	}
	if err := (&Limits{Insist: true}).distrustSegments(bad); err != nil {
		t.Errorf("%v, although the program insists", err)
	}
	if err := (&Limits{}).distrustSegments("6.18.1"); err != nil {
		t.Error(err)
	}
}

// The release is what uname(2) says of the kernel that runs the test.
func TestRelease(t *testing.T) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if got := release(); got == "" || !strings.HasPrefix(string(name.Release[:]), got) || parseVersion(got)[0] < 3 {
		t.Errorf("release %q", got)
	}
}

// On a kernel of the table sockets do not segment, unless the program insists.
func TestOpenOnCorruptingKernel(t *testing.T) {
	actual := release
	t.Cleanup(func() { release = actual })
	release = func() string { return "7.1.2-custom" }
	for _, insist := range []bool{false, true} {
		s, err := Kernel{}.Listen(t.Context(), "udp4", "127.0.0.1:0", Config{
			Limits: Limits{Receive: 1500, Batch: true, Segment: true, Coalesce: true, Insist: insist},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.SetSegmentation(true) // is no reason to trust the kernel
		f := s.Features()
		if f.Segment.Active != insist || strings.Contains(f.Segment.Reason, release()) == insist {
			t.Errorf("insist %v: segmentation %+v", insist, f.Segment)
		}
		if !f.Batch.Active || !f.Coalesce.Active {
			t.Errorf("insist %v: %+v, want batches and coalescing", insist, f)
		}
	}
}
