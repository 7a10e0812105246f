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
	"example.com/datagram/bench/internal/peer"
)

// contender is a peer of any language: how to start it, and what it cannot do.
type contender struct {
	name   string
	family string // contenders of one family are variants: the best of them counts
	about  string
	absent string // why it cannot run at all
	argv   func(child.Args) []string
	lacks  func(child.Args) string // why it has no part in a workload, "" if it has
}

// contenders lists all, in the order in which they run. Programs in C are compiled into dir.
func contenders(dir string) ([]contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var list []contender
	for _, p := range peer.Peers() {
		list = append(list, contender{
			name:  p.Name,
			about: p.About,
			argv: func(a child.Args) []string {
				a.Peer = p.Name
				return append([]string{self, "child"}, a.Strings()...)
			},
			lacks: func(a child.Args) string { return goLacks(p, a) },
		})
	}
	return append(list, cContenders(dir)...), nil
}

// Reasons that peers share.
const (
	noPing  = "one datagram in flight: nothing to batch"
	noRole  = "there for other workloads"
	noIdle  = "not made for thousands of sockets in one process"
	noBatch = "nothing coalesces: the same as raw-mmsg"
)

func goLacks(p peer.Peer, a child.Args) string {
	switch {
	case a.Role == "ping" && p.Ping == nil:
		return noPing
	case p.Idle != nil && a.Role == "idle":
		return ""
	case p.Echo == nil && a.Role == "echo", p.Receive == nil && a.Role != "ping" && a.Role != "echo":
		return noRole
	case (a.Role == "idle" || a.Receivers > 1) && !p.ManySockets:
		return noIdle
	}
	return ""
}

//go:embed c
var sources embed.FS

// cContenders compiles the programs in C and returns their modes.
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
	const libuv = "libuv" // the family
	all := func(child.Args) string { return "" }
	return []contender{
		mk("libuv-send", libuv, "send", "libuv, uv_udp_send with 64 requests, one read a datagram", uv, all),
		mk("libuv-mmsg", libuv, "mmsg", "libuv, uv_udp_send with 64 requests, UV_UDP_RECVMMSG", uv, all),
		mk("libuv-try", libuv, "try", "libuv, uv_udp_try_send, UV_UDP_RECVMMSG", uv, all),
		mk("raw-plain", "", "plain", "C, sendto and recvfrom", raw, plainLacks),
		mk("raw-mmsg", "", "mmsg", "C, sendmmsg and recvmmsg of 64", raw, mmsgLacks),
		mk("raw-gso", "", "gso", "C, UDP_SEGMENT and UDP_GRO: what the kernel can do", raw, gsoLacks),
	}
}

func plainLacks(a child.Args) string {
	if a.Receivers > 1 {
		return noIdle
	}
	return ""
}

func mmsgLacks(a child.Args) string {
	switch a.Role {
	case "ping":
		return noPing
	case "idle":
		return "the same as raw-plain"
	}
	return plainLacks(a)
}

func gsoLacks(a child.Args) string {
	if a.Role == "echo" || a.Dests > 1 {
		return noBatch
	}
	return mmsgLacks(a)
}

// compile builds C programs into dir. Its error is the reason to show for leaving them out.
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
