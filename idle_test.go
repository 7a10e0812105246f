package datagram_test

import (
	"errors"
	"runtime"
	"syscall"
	"testing"

	"example.com/datagram"
)

// What an idle receiving handle may cost: a goroutine and this much memory of
// the process. The bound is generous, so as to tell a mistake, a buffer that is
// held for each handle, from the weather.
const idleBudget = 16 << 10

func TestIdleHandles(t *testing.T) {
	const handles = 1000
	memory := func() uint64 {
		runtime.GC()
		runtime.GC() // pools are emptied in two steps
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapInuse + stats.StackInuse
	}
	goroutines, before := runtime.NumGoroutine(), memory()
	conns := make([]*datagram.Conn, 0, handles)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	var channels []<-chan datagram.Datagram
	for range handles {
		c, err := datagram.Listen(background, "udp4", "127.0.0.1:0")
		if errors.Is(err, syscall.EMFILE) {
			skip(t, "too few file descriptors: "+err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		channels = append(channels, c.Recv())
	}
	// One that has been busy holds no more than one that never was.
	s := unboundSocket(t)
	for i, c := range conns {
		for range 10 {
			if _, err := s.WriteToUDPAddrPort(make([]byte, 1000), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			d := await(t, "a datagram", channels[i])
			if err := c.Send(background, d.Reply(nil)); err != nil {
				t.Fatal(err)
			}
			d.Release()
		}
	}
	eventually(t, "one goroutine a handle", func() bool { return runtime.NumGoroutine() <= goroutines+handles })
	each := (int64(memory()) - int64(before)) / handles
	t.Logf("%d bytes a handle", each)
	if each > idleBudget && !raceEnabled {
		t.Errorf("%d bytes a handle, want at most %d", each, idleBudget)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		await(t, "Done", c.Done())
	}
	eventually(t, "no goroutine after Close", func() bool { return runtime.NumGoroutine() <= goroutines })
	runtime.KeepAlive(channels)
}
