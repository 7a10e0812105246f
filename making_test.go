package datagram_test

import (
	"net"
	"syscall"
	"testing"

	"example.com/datagram"
)

// meanwhile returns a handle that is bound while do is called with it, on another goroutine, between the making and
// the binding of the socket; and what Bind returned.
func meanwhile(t *testing.T, do func(*datagram.Conn)) (*datagram.Conn, error) {
	t.Helper()
	var c *datagram.Conn
	c = lazyConn(t, datagram.WithControl(func(string, string, syscall.RawConn) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(c)
		}()
		<-done
		return nil
	}))
	return c, c.Bind(t.Context(), "udp4", "127.0.0.1:0")
}

func TestSettingsWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.SetTTL(9); err != nil {
			t.Error(err)
		}
		c.SetSegmentation(false)
	})
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := c.TTL(); ttl != 9 || err != nil {
		t.Errorf("TTL %d, %v; want 9", ttl, err)
	}
	if c.Capabilities().GSO.Active {
		t.Error("it segments")
	}
}

func TestRefusedSettingWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.SetMulticastInterface(&net.Interface{Index: 1 << 30}); err != nil {
			t.Error(err)
		}
	})
	if op, ok := err.(*net.OpError); !ok || op.Op != "set" || c.LocalAddr().IsValid() {
		t.Errorf("Bind returned %v, and the handle is bound to %v", err, c.LocalAddr())
	}
}

func TestCloseWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	checkErrno(t, err, net.ErrClosed)
	awaitClosed(t, c.Done(), "the handle")
}
