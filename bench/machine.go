package main

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"example.com/datagram/bench/internal/report"
	"golang.org/x/sys/unix"
)

// machine describes the machine and the software that were measured. libuv is the path of a
// compiled libuv peer, which knows its version; it need not exist.
func machine(libuv string) report.Machine {
	m := report.Machine{
		CPU:     cpuModel(),
		Cores:   runtime.NumCPU(),
		Go:      runtime.Version(),
		Modules: make(map[string]string),
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if out, err := exec.Command("cc", "--version").Output(); err == nil {
		m.Compiler, _, _ = strings.Cut(string(out), "\n")
	}
	if out, err := exec.Command(libuv, "role=version").Output(); err == nil {
		m.Libuv = strings.TrimSpace(string(out))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "golang.org/x/net", "github.com/panjf2000/gnet/v2", "golang.zx2c4.com/wireguard",
				"github.com/quic-go/quic-go", "github.com/xtaci/kcp-go/v5", "github.com/miekg/dns":
				m.Modules[d.Path] = d.Version
			}
		}
	}
	return m
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

// loadAverage returns the machine's load over the last minute. Figures from a busy machine are less
// reliable.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
