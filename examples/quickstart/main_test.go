package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"example.com/datagram/examples/internal/program"
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
			// Added up once more, from what is printed.
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

// row returns the figures of a line of the ledger.
func row(t *testing.T, out, what string) (requests, replies string) {
	t.Helper()
	match := regexp.MustCompile(`(?m)^ *` + what + ` +(\d+) +(\d+)$`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no line %q in\n%s", what, out)
	}
	return match[1], match[2]
}

// Loss is found where it happens. Without coalescing the system's count is
// exact, so the ledger adds up all the same.
func TestLossIsCounted(t *testing.T) {
	t.Setenv("DATAGRAM_OFFLOAD", "batch")
	out, code := program.Run(t, "", program.Build(t), "-n", "60000", "-size", "1200", "-clients", "1", "-window", "60000")
	sent, _ := row(t, out, "sent")
	received, _ := row(t, out, "received")
	dropped, droppedReplies := row(t, out, "dropped: receive buffer full")
	t.Logf("sent %s, received %s, dropped %s", sent, received, dropped)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if dropped == "0" && droppedReplies == "0" {
		t.Log("nothing was lost on this machine")
	}
	if number(t, sent) != number(t, received)+number(t, dropped) {
		t.Errorf("sent %s, received %s, dropped %s", sent, received, dropped)
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
	good := account{accepted: 10, sent: 9, failed: 1, received: 7, kernel: 2, delivered: 6, closed: 1, read: 6}
	if err := good.audit(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*account){
		"not sent":            func(a *account) { a.accepted++ },
		"lost unseen":         func(a *account) { a.kernel-- },
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

func TestUsage(t *testing.T) {
	quickstart := program.Build(t)
	for _, args := range []string{"-n 0", "-clients 0", "-size 7", "-size 65508", "-window -1", "extra", "-unknown"} {
		if out, code := program.Run(t, "", quickstart, strings.Fields(args)...); code != 2 || !strings.Contains(out, "Usage") {
			t.Errorf("%s: exit code %d\n%s", args, code, out)
		}
	}
}
