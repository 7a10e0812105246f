package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/library"
	"example.com/datagram/bench/internal/peer"
	"example.com/datagram/bench/internal/report"
)

// contender is a peer in any language: how to start it, and what it cannot do.
type contender struct {
	name   string
	family string // contenders of one family are variants, of which the best counts
	about  string
	absent string // why it cannot run at all
	argv   func(child.Args) []string
	lacks  func(child.Args) string // why it does not take part in a workload, or ""
}

// contenders returns all contenders in the order in which they run. It compiles those in C into
// dir.
func contenders(dir string) ([]contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var list []contender
	for _, p := range peer.Peers() {
		list = append(list, contender{
			name: p.Name, family: p.Family, about: p.About,
			argv: func(a child.Args) []string {
				a.Peer = p.Name
				return append([]string{self, "child"}, a.Strings()...)
			},
			lacks: func(a child.Args) string { return goLacks(p, a) },
		})
	}
	return append(list, cContenders(dir)...), nil
}

// Reasons common to several peers.
const (
	noPing  = "one datagram in flight: nothing to batch"
	noRole  = "there for other workloads"
	noMany  = "not made for thousands of sockets in one process"
	noShare = "one socket on its port"
)

func goLacks(p peer.Peer, a child.Args) string {
	switch {
	case library.Has(a.Role) && p.Conn != nil:
		return library.Lacks(a.Role)
	case p.PingOnly && a.Role != "ping":
		return noRole
	case a.Role == "ping" && p.Ping == nil:
		return noPing
	case p.Idle != nil && a.Role == "idle":
		return ""
	case p.Echo == nil && a.Role == "echo", p.Receive == nil && a.Role != "ping" && a.Role != "echo":
		return noRole
	case a.Handles > 0 && !p.Shares:
		return noShare
	case (a.Role == "idle" || a.Receivers > 1) && !p.ManySockets:
		return noMany
	}
	return ""
}

//go:embed c
var sources embed.FS

// cContenders compiles the C programs and returns their modes.
func cContenders(dir string) []contender {
	raw, uv := "", ""
	if err := compile(dir, []string{"raw_flow", "raw_echo"}, "-lpthread"); err != nil {
		raw, uv = err.Error(), err.Error()
	} else if err := compile(dir, []string{"libuv_flow", "libuv_echo"}, "-luv", "-lpthread"); err != nil {
		uv = err.Error()
	}
	mk := func(name, family, mode, about, absent string, lacks func(child.Args) string) contender {
		program, _, _ := strings.Cut(name, "-")
		return contender{
			name: name, family: family, about: about, absent: absent, lacks: lacks,
			argv: func(a child.Args) []string {
				part := "_echo"
				if slices.Contains([]string{"flow", "recv", "send"}, a.Role) {
					part = "_flow"
				}
				return append([]string{filepath.Join(dir, program+part), "mode=" + mode}, a.Strings()...)
			},
		}
	}
	all := func(child.Args) string { return "" }
	return []contender{
		mk("libuv-send", report.Libuv, "send", "libuv, uv_udp_send with 64 requests, one read a datagram", uv, all),
		mk("libuv-mmsg", report.Libuv, "mmsg", "libuv, uv_udp_send with 64 requests, UV_UDP_RECVMMSG", uv, all),
		mk("libuv-try", report.Libuv, "try", "libuv, uv_udp_try_send, UV_UDP_RECVMMSG", uv, all),
		mk("raw-plain", "", "plain", "C, sendto and recvfrom", raw, plainLacks),
		mk("raw-mmsg", "", "mmsg", "C, sendmmsg and recvmmsg of 64", raw, batchLacks),
		mk("raw-gso", "", "gso", "C, UDP_SEGMENT and UDP_GRO: what the kernel can do", raw, batchLacks),
	}
}

func plainLacks(a child.Args) string {
	if a.Receivers > 1 {
		return noMany
	}
	return ""
}

func batchLacks(a child.Args) string {
	switch a.Role {
	case "ping":
		return noPing
	case "idle":
		return "the same as raw-plain"
	}
	return ""
}

// compile compiles C programs into dir. Its error is the reason shown for leaving them out.
func compile(dir string, programs []string, libs ...string) error {
	if _, err := exec.LookPath("cc"); err != nil {
		return errors.New("no C compiler (cc)")
	}
	if err := os.CopyFS(filepath.Join(dir, programs[0]+".src"), sources); err != nil {
		return err
	}
	for _, p := range programs {
		args := []string{"-O2", "-o", filepath.Join(dir, p), filepath.Join(dir, programs[0]+".src", "c", p+".c")}
		out, err := exec.Command("cc", append(args, libs...)...).CombinedOutput()
		if strings.Contains(string(out), "uv.h") {
			return errors.New("no libuv headers (libuv1-dev)")
		}
		if err != nil {
			return fmt.Errorf("cc %s.c: %w: %s", p, err, out)
		}
	}
	return nil
}
