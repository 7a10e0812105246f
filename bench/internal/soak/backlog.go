package soak

import (
	"os"
	"strconv"
	"strings"
)

// backlogDrops returns how many packets the system has dropped on their way to a socket, also over the loopback
// interface, because a processor was too busy to keep its queue of them short (net.core.netdev_max_backlog): the second
// column of Linux's /proc/net/softnet_stat, of each processor. No socket counts them.
func backlogDrops() (n uint64) {
	text, _ := os.ReadFile("/proc/net/softnet_stat")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			drops, _ := strconv.ParseUint(fields[1], 16, 64)
			n += drops
		}
	}
	return n
}
