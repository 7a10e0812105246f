package systemtest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// A stranger sends datagrams whose headers say what he likes.
type stranger struct {
	t   *testing.T
	raw *os.File
}

func (l *lan) stranger(t *testing.T) *stranger {
	t.Helper()
	return &stranger{t, newSocket(t, l.far, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)}
}

// send sends a datagram of a byte.
func (s *stranger) send(from, to netip.AddrPort) {
	s.t.Helper()
	const headers, length = 20, 8 + 1
	packet := []byte{headers: 0, headers + length - 1: 'x'}
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP // version and length, TTL (RFC 791); the kernel fills in the rest
	copy(packet[12:], from.Addr().AsSlice())
	copy(packet[16:], to.Addr().AsSlice())
	udp := packet[headers:]
	binary.BigEndian.PutUint16(udp[0:], from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], length) // and no checksum (RFC 768)
	conntest.OnFile(s.t, s.raw, func(fd int) error {
		return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()})
	})
}

// A stranger who has every answer to him fail makes a server hold nothing while its error handler is slow.
func TestStrangersWhomNoAnswerReaches(t *testing.T) {
	const questions = 2000
	for name, test := range map[string]struct {
		from     string
		refused  error // by Send
		answered bool  // by the system, with an error
	}{
		"port 0":   {"192.0.2.2:0", syscall.EINVAL, false},
		"no route": {"203.0.113.1:9", nil, true},
	} {
		for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadAll} {
			t.Run(fmt.Sprint(name, ", offload ", offload), func(t *testing.T) {
				testenv.AllOffloads(t)
				l := newLAN(t)
				l.near.Sysctl("net/ipv4/conf/all/rp_filter", "0")
				l.near.Sysctl("net/ipv4/conf/"+l.nearEnd.Name+"/rp_filter", "0")
				l.near.IP("route add unreachable 203.0.113.0/24")
				release := make(chan struct{})
				defer close(release)
				var slow sync.Once
				server := listenIn(t, l.near, "udp4", ":7", datagram.WithOffload(offload), datagram.WithErrorHandler(func(err error) {
					if !errors.Is(err, syscall.EHOSTUNREACH) {
						t.Errorf("told of %v", err)
					}
					slow.Do(func() { <-release })
				}))
				var handled, refused atomic.Uint64
				served := await.Go(func() {
					_ = server.Serve(t.Context(), func(d datagram.Datagram) {
						if err := server.Send(t.Context(), d.Reply(d.Payload)); err != nil {
							conntest.ExpectError(t, "Send", err, test.refused)
							refused.Add(1)
						}
						d.Release()
						handled.Add(1)
					})
				})
				s := l.stranger(t)
				ask := func(n uint64) {
					s.send(netip.MustParseAddrPort(test.from), at(netip.MustParseAddr("192.0.2.1"), server))
					await.Until(t, "the question is handled", func() bool { return handled.Load() == n })
				}
				ask(1)
				before := heap()
				for n := range uint64(questions) {
					ask(n + 2)
				}
				await.Until(t, "the system has answered", func() bool { return server.Stats().Queued == 0 })
				if grown := heap() - before; grown > errorsBound+allowance/4 {
					t.Errorf("%d questions hold %d KiB, want at most %d", questions, grown>>10, errorsBound>>10)
				}
				want := [2]uint64{questions + 1, 0}
				if test.answered {
					want = [2]uint64{0, questions + 1}
				}
				if got := [2]uint64{refused.Load(), server.Stats().SendErrors}; got != want {
					t.Errorf("refused and failed: %v, want %v", got, want)
				}
				server.Close()
				await.Signal(t, "the end of Serve", served)
			})
		}
	}
}
