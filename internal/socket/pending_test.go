package socket

import (
	"syscall"
	"testing"
)

// Errors that were pending may follow one another and be of one kind: they are kept for the owner. What does not
// end is the datagram's own.
func TestRetrial(t *testing.T) {
	for name, test := range map[string]struct {
		met  []syscall.Errno // by the attempts, of which the last is answered
		kept int
	}{
		"at once":             {[]syscall.Errno{0}, 0},
		"one pending":         {[]syscall.Errno{syscall.EHOSTUNREACH, 0}, 1},
		"several of one kind": {[]syscall.Errno{syscall.EHOSTUNREACH, syscall.EHOSTUNREACH, syscall.EHOSTUNREACH, 0}, 3},
		"of several kinds":    {[]syscall.Errno{syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.ECONNREFUSED, syscall.EMSGSIZE, 0}, 4},
		"its own":             {[]syscall.Errno{syscall.EMSGSIZE, syscall.EMSGSIZE, syscall.EMSGSIZE, syscall.EMSGSIZE}, 0},
		"pending, then its own": {[]syscall.Errno{
			syscall.ECONNREFUSED, syscall.EMSGSIZE, syscall.EMSGSIZE, syscall.EMSGSIZE, syscall.EMSGSIZE,
		}, 1},
		"never pending": {[]syscall.Errno{syscall.EINVAL}, 0},
	} {
		h := &kernelSocket{family: IPv4, udp: true}
		var r retrial
		for i, errno := range test.met {
			again, err := r.again(h, "sendto", errno, route{connected: true})
			if last := i == len(test.met)-1; again == last || err != nil {
				t.Errorf("%s: attempt %d: again %v, %v", name, i, again, err)
			}
		}
		if kept := h.PendingErrors(); len(kept) != test.kept {
			t.Errorf("%s: kept %v, want %d", name, kept, test.kept)
		}
	}
}
