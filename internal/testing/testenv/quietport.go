package testenv

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
)

// wsaInUse is WSAEADDRINUSE, for which Windows does not use EADDRINUSE.
const wsaInUse = syscall.Errno(10048)

// QuietPort calls listen with one port after another until one is free. The system gives these to nobody by
// itself (net.ipv4.ip_local_port_range), so that it stays free when it is closed.
func QuietPort[S any](tb testing.TB, listen func(port int) (S, error)) S {
	tb.Helper()
	for {
		s, err := listen(10_000 + rand.IntN(20_000))
		switch {
		case err == nil:
			return s
		case !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, wsaInUse):
			tb.Fatal(err)
		}
	}
}
