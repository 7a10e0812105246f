package upstream

import (
	"errors"
	"os/exec"
	"testing"
)

// TestEditsAreTested runs another module's tests as they are, and with a mistake that they must notice.
func TestEditsAreTested(t *testing.T) {
	const module, pkg = "golang.org/x/sync", "golang.org/x/sync/semaphore"
	Test(t, module, nil, pkg, "-run", "^TestWeightedTryAcquire$")
	mistake := Edit{File: "semaphore/semaphore.go", Old: "success := s.size-s.cur >= n && s.waiters.Len() == 0", New: "success := false"}
	var failed *exec.ExitError
	if err := run(t, module, []Edit{mistake}, pkg, "-run", "^TestWeightedTryAcquire$"); !errors.As(err, &failed) {
		t.Errorf("with a mistake: %v", err)
	}
	if err := run(t, module, nil, pkg, "-run", "^TestOfAnotherName$"); err == nil {
		t.Error("no test ran, and no error tells")
	}
	missing := Edit{File: "semaphore/semaphore.go", Old: "no such text"}
	if err := run(t, module, []Edit{missing}, pkg); err == nil || errors.As(err, &failed) {
		t.Errorf("with an edit that applies nowhere: %v", err)
	}
}
