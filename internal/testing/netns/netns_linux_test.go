package netns

import (
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
)

// identity identifies the namespace of the calling thread.
func identity(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink(current)
	if err != nil {
		t.Error(err)
	}
	return name
}

func TestNamespaceIsEntered(t *testing.T) {
	home := identity(t)
	n := New(t)
	if now := identity(t); now != home {
		t.Errorf("New left the thread in %s, want %s", now, home)
	}
	n.Do(func() {
		if now := identity(t); now == home {
			t.Errorf("inside Do the namespace is still %s", now)
		}
		interfaces, err := net.Interfaces()
		if err != nil || len(interfaces) != 1 || interfaces[0].Flags&net.FlagUp == 0 {
			t.Errorf("interfaces %v, %v; want the loopback interface alone, up", interfaces, err)
		}
		// Goroutines run on other threads, which must not have inherited the namespace.
		var others sync.WaitGroup
		for range 8 {
			others.Go(func() {
				if now := identity(t); now != home {
					t.Errorf("a goroutine runs in %s, want %s", now, home)
				}
			})
		}
		others.Wait()
	})
	if now := identity(t); now != home {
		t.Errorf("Do left the thread in %s, want %s", now, home)
	}
}

// A test that fails inside Do ends its goroutine there.
func TestNamespaceIsLeftByGoexit(t *testing.T) {
	home := identity(t)
	n := New(t)
	after := ""
	var ended sync.WaitGroup
	ended.Go(func() {
		defer func() { after = identity(t) }()
		n.Do(runtime.Goexit)
	})
	ended.Wait()
	if after != home {
		t.Errorf("the thread was left in %s, want %s", after, home)
	}
}

func TestLinkCarries(t *testing.T) {
	near, far := New(t), New(t)
	nearEnd, farEnd := Link(near, far)
	near.Addresses(nearEnd, "192.0.2.1/24", "2001:db8::1/64")
	far.Addresses(farEnd, "192.0.2.2/24", "2001:db8::2/64")
	for _, address := range []string{"192.0.2.1:0", "[2001:db8::1]:0"} {
		var server, client net.Conn
		near.Do(func() {
			conn, err := net.ListenPacket("udp", address)
			if err != nil {
				t.Fatal(err)
			}
			server = conn.(*net.UDPConn)
		})
		defer server.Close()
		far.Do(func() {
			var err error
			if client, err = net.Dial("udp", server.LocalAddr().String()); err != nil {
				t.Fatal(err)
			}
		})
		defer client.Close()
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := server.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Fatalf("read %d bytes, %v", n, err)
		}
	}
}
