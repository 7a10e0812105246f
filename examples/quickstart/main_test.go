package main

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/program"
)

func TestLedgerAddsUp(t *testing.T) {
	quickstart := program.Build(t)
	for _, args := range []string{
		"-n 20000",
		"-n 20000 -size 1200",
		"-n 20000 -size 8 -clients 16",
		"-n 200 -size 65507 -clients 1",
		"-n 3 -clients 5", // clients without a request
		"-n 500 -clients 1 -window 1",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			out, code := program.Run(t, "", quickstart, strings.Fields(args)...)
			if code != 0 || !strings.Contains(out, "the ledger adds up") {
				t.Fatalf("exit code %d\n%s", code, out)
			}
			// Add up once more, from the output.
			want := strings.Fields(args)[1]
			for _, what := range []string{"sent", "received", "delivered"} {
				if requests, replies := row(t, out, what); requests != want || replies != want {
					t.Errorf("%s: %s and %s, want %s", what, requests, replies, want)
				}
			}
			if strings.ContainsAny(out, "\r\033") {
				t.Error("progress, though there is no terminal")
			}
		})
	}
}

// row returns the figures in a line of the ledger.
func row(t *testing.T, out, what string) (requests, replies string) {
	t.Helper()
	match := regexp.MustCompile(`(?m)^ *` + what + ` +(\d+) +(\d+)$`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no line %q in\n%s", what, out)
	}
	return match[1], match[2]
}

// Loss is detected where it happens. Without coalescing the system's count is exact. Otherwise the
// ledger says that it is a lower bound.
func TestLossIsCounted(t *testing.T) {
	quickstart := program.Build(t)
	args := strings.Fields("-n 60000 -size 1200 -clients 1 -window 60000")
	t.Setenv("DATAGRAM_OFFLOAD", "batch")
	exact := program.Start(t, quickstart, args...)
	t.Setenv("DATAGRAM_OFFLOAD", "")
	bounded := program.Start(t, quickstart, args...) // at the same time: both wait long for what was lost

	out, code := exact.Wait()
	if code != 0 || !strings.Contains(out, "the ledger adds up") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	sent, _ := row(t, out, "sent")
	received, _ := row(t, out, "received")
	dropped, droppedReplies := row(t, out, "dropped: receive buffer full")
	t.Logf("sent %s, received %s, dropped %s", sent, received, dropped)
	if dropped == "0" && droppedReplies == "0" {
		t.Log("nothing was lost on this machine")
	}
	if number(t, sent) != number(t, received)+number(t, dropped) {
		t.Errorf("sent %s, received %s, dropped %s", sent, received, dropped)
	}

	out, code = bounded.Wait()
	if code != 0 || !strings.Contains(out, "the ledger adds up") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if strings.Contains(out, "≥ ") != strings.Contains(out, "All counts but those with ≥ are exact") {
		t.Errorf("lower bounds without explanation, or the other way round:\n%s", out)
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAudit(t *testing.T) {
	good := account{accepted: 10, sent: 9, failed: 1, received: 7, kernel: 2, delivered: 6, closed: 1, read: 6, countedAsOne: 1}
	bounded := good
	bounded.kernel, bounded.countedAsOne = 1, 2
	for _, a := range []account{good, bounded} {
		if err := a.audit(); err != nil {
			t.Error(err)
		}
	}
	for name, spoil := range map[string]func(*account){
		"not sent":            func(a *account) { a.accepted++ },
		"lost unseen":         func(a *account) { a.kernel-- },
		"beyond the bound":    func(a *account) { a.kernel, a.countedAsOne = 0, 64 },
		"from nowhere":        func(a *account) { a.received++ },
		"not delivered":       func(a *account) { a.delivered-- },
		"not read":            func(a *account) { a.read-- },
		"cut":                 func(a *account) { a.truncated++ },
		"wrong":               func(a *account) { a.wrong++ },
		"dropped, not stated": func(a *account) { a.closed-- },
	} {
		bad := good
		spoil(&bad)
		if bad.audit() == nil {
			t.Errorf("%s: found nothing", name)
		}
	}
}

// A signal ends the requests, and the ledger of what was sent adds up.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send a signal to one process")
	}
	quickstart := program.Build(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := program.Start(t, quickstart, "-n", "50000000")
		p.After("50000000 requests ")
		p.Signal(signal)
		out, code := p.Wait()
		if code != 1 || !strings.Contains(out, "the ledger adds up\n") || !strings.Contains(out, "quickstart: ended early: ") {
			t.Errorf("exit code %d after %v\n%s", code, signal, out)
		}
	}
}

func TestUsage(t *testing.T) {
	quickstart := program.Build(t)
	for args, says := range map[string]string{
		"-n 0":        "-n is 0",
		"-n x":        `invalid value "x" for flag -n`,
		"-clients 0":  "-clients is 0",
		"-size 7":     "-size is 7, not in 8…65507",
		"-size 65508": "-size is 65508",
		"-window -1":  "-window is -1",
	} {
		program.Fails(t, 2, says, quickstart, strings.Fields(args)...)
	}
}

// Output that cannot be written ends the program.
func TestFullOutput(t *testing.T) {
	program.FailsToPrint(t, program.FullDevice(t), "no space left", program.Build(t), "-n", "1000")
}
