// Package softnet knows of packets that a machine loses between an interface and a socket.
package softnet

import (
	"os"
	"strconv"
	"strings"
)

// Watch returns a function that reports whether the machine has lost packets since then because a processor was
// too busy to keep its queue of them short (net.core.netdev_max_backlog), perhaps those of the loopback
// interface. No socket counts them. On systems other than Linux it reports false.
func Watch() (lost func() bool) {
	before := drops()
	return func() bool { return drops() != before }
}

// drops adds up the second column of /proc/net/softnet_stat, in which each processor has a line.
func drops() (n uint64) {
	text, _ := os.ReadFile("/proc/net/softnet_stat")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			dropped, _ := strconv.ParseUint(fields[1], 16, 64)
			n += dropped
		}
	}
	return n
}
