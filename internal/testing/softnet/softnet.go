// Package softnet knows of packets that a machine loses between an interface and a socket.
package softnet

import (
	"os"
	"strconv"
	"strings"
)

// Drops returns how many packets the machine has lost because a processor was too busy to keep its queue of
// them short (net.core.netdev_max_backlog), those of the loopback interface among them: the second column of
// Linux's /proc/net/softnet_stat, of each processor. No socket counts them. Elsewhere it returns 0.
func Drops() (n uint64) {
	text, _ := os.ReadFile("/proc/net/softnet_stat")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			drops, _ := strconv.ParseUint(fields[1], 16, 64)
			n += drops
		}
	}
	return n
}
