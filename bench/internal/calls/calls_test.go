package calls

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the counted process: it makes a known number of system calls on
// several threads.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_CALLS") == "" {
		os.Exit(m.Run())
	}
	makeCalls()
}

func TestCountsTheCallsOfAllThreads(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip("system calls cannot be counted:", err)
	}
	count := func() uint64 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BENCH_CALLS=1")
		c, err := Start(cmd.Start)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// A second process must count for itself only, although the first counter is still open.
	first := exec.Command("true")
	a, err := Start(first.Start)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer first.Wait()
	const made = threads * callsEach
	if n := count(); n < made || n > made+made/2 {
		t.Errorf("%d system calls counted, %d made besides the runtime's", n, made)
	}
	if n, err := a.Read(); err != nil || n > made/2 {
		t.Errorf("the first counter reads %d, %v", n, err)
	}
}

func TestStartReportsItsFunctionsError(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip("system calls cannot be counted:", err)
	}
	_, err := Start(exec.Command("/no/such/program").Start)
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("error %v", err)
	}
}

const threads, callsEach = 4, 5000

func makeCalls() {
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			for range callsEach {
				unix.Getppid()
			}
		})
	}
	wg.Wait()
}
