package libuvtest_test

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// The tests of libuv v1.x for its UDP handle, row by row, as tests of this
// package. Fixed ports are left to the system, callbacks become channels and
// completion functions, and what depends on the number of turns of an event
// loop becomes an order of events.
//
//	row  test of libuv                    here
//	R1   udp_alloc_cb_fail                none: receive memory is the package's own, there is no
//	                                      callback that could refuse it; the exchange is R34
//	R2   udp_bind                         TestLibuvBind
//	R3   udp_bind_reuseaddr               TestLibuvBind
//	R4   udp_connect                      TestLibuvConnect
//	R5   udp_connect6                     TestLibuvConnect
//	R6   udp_create_early                 TestLibuvCreateEarly: New makes no socket, so that
//	                                      the early one is an unbound socket given to Open
//	R7   udp_create_early_bad_bind        TestLibuvCreateEarly: EAFNOSUPPORT, which libuv renames
//	R8   udp_create_early_bad_domain      TestLibuvBadDomain: a family is named where the handle is bound
//	R9   udp_dgram_too_big                TestLibuvDatagramTooBig
//	R10  udp_dual_stack                   TestLibuvDualStack
//	R11  udp_ipv6_only                    TestLibuvDualStack
//	R12  udp_mmsg                         TestLibuvManyAtOnce
//	R13  udp_mmsg_small_buf               TestLibuvSmallBuffer: a small limit cuts and says so,
//	                                      where libuv's small buffer cannot be used
//	R14  udp_mmsg_single_drain_cb         TestLibuvNothingButTheDatagram: there are no callbacks that
//	                                      bring nothing
//	R15  udp_multicast_interface          TestLibuvMulticastSend
//	R16  udp_multicast_interface6         TestLibuvMulticastSend
//	R17  udp_multicast_ttl                TestLibuvMulticastSend
//	R18  udp_open                         TestLibuvOpen: the handle owns a duplicate, so that a second
//	                                      handle for the file is no error
//	R19  udp_open_twice                   TestLibuvOpen: Open makes the handle, and Bind refuses
//	                                      to give it another socket
//	R20  udp_open_bound                   TestLibuvOpen
//	R21  udp_open_connect                 TestLibuvOpen
//	R22  udp_send_unix                    TestLibuvOpen: a stream socket is refused at once
//	R23  udp_options                      TestLibuvOptions: a multicast TTL of 0 is out of range here
//	R24  udp_options6                     TestLibuvOptions
//	R25  udp_no_autobind                  TestLibuvNoAutobind: settings are remembered where libuv
//	                                      says EBADF, which binds as little
//	R26  udp_recv_cb_close_pollerr        TestLibuvCloseOnReceiveError
//	R27  udp_send_pollerr_no_recv         TestLibuvCloseOnSendError
//	R28  udp_recv_in_a_row                TestLibuvReceiveInARow
//	R29  udp_multicast_join               TestLibuvMulticastJoin
//	R30  udp_multicast_join6              TestLibuvMulticastJoin
//	R31  udp_recvmsg_unreachable_error    TestLibuvUnreachableReported
//	R32  udp_recvmsg_unreachable_error6   TestLibuvUnreachableReported
//	R33  udp_reuseport                    TestLibuvReusePort
//	R34  udp_send_and_recv                TestLibuvSendAndReceive
//	R35  udp_send_fail_nbufs              TestLibuvNoBuffers: a slice has no negative length
//	R36  udp_send_hang_loop               TestLibuvSendsNeverHang
//	R37  udp_send_immediate               TestLibuvSendImmediate
//	R38  udp_send_unreachable             TestLibuvSendUnreachable
//	R39  udp_sendmmsg_error               TestLibuvQueueToDeadPort
//	R40  udp_try_send                     TestLibuvTrySend
//	R41  udp_ref                          TestLibuvNothingRuns: no loop has to be kept alive; what
//	                                      does run for a handle, Done tells
//	R42  udp_ref2                         TestLibuvNothingRuns
//	R43  udp_ref3                         TestLibuvNothingRuns
//	R44  getsockname_udp                  TestLibuvLocalAddr
//	R45  handle_fileno                    TestLibuvDescriptor
//	R46  socket_buffer_size               TestLibuvBufferSize
//	R47  watcher_cross_stop               TestLibuvManyOnOnePort
//	R48  io_64_safe                       TestLibuvHugePayloads: EMSGSIZE where the answer is
//	                                      reported, as for all that is too long
//	R49  handle_type_name                 none: the types of Go have their names from the language
//	later udp_mmsg_namelen_zero           TestLibuvShutDownForReading
//	later udp_try_send2 of 45             TestTrySendBatchOfAnyLength

// R2, R3.
func TestLibuvBind(t *testing.T) {
	first := conntest.Listen(t, "udp4", "0.0.0.0:0")
	_, err := datagram.Listen(t.Context(), "udp4", first.LocalAddr().String())
	conntest.CheckErrno(t, err, syscall.EADDRINUSE)

	reuse := datagram.WithReuseAddr()
	first = conntest.Listen(t, "udp4", "0.0.0.0:0", reuse)
	conntest.Listen(t, "udp4", first.LocalAddr().String(), reuse)
}

// R4, R5.
func TestLibuvConnect(t *testing.T) {
	for _, test := range []struct{ network, wildcard, foreign string }{
		{"udp4", "0.0.0.0", "8.8.8.8"}, {"udp6", "::", "2001:4860:4860::8888"},
	} {
		t.Run(test.network, func(t *testing.T) {
			if test.network == "udp6" {
				testenv.NeedIPv6(t)
			}
			exit := []byte("EXIT")
			server := conntest.Listen(t, test.network, net.JoinHostPort(test.wildcard, "0"))
			to := conntest.Reachable(server)
			foreign := netip.AddrPortFrom(netip.MustParseAddr(test.foreign), to.Port())
			c := conntest.New(t)

			if runtime.GOOS == "linux" { // elsewhere the wildcard is no peer
				if err := c.Connect(netip.AddrPortFrom(netip.MustParseAddr(test.wildcard), to.Port())); err != nil {
					t.Fatal(err)
				}
				if c.RemoteAddr() != to {
					t.Errorf("connected to the wildcard the peer is %v", c.RemoteAddr())
				}
				if err := c.Disconnect(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Connect(to); err != nil {
				t.Fatal(err)
			}
			conntest.CheckErrno(t, c.Connect(foreign), syscall.EISCONN)
			if c.RemoteAddr() != to {
				t.Errorf("the peer is %v", c.RemoteAddr())
			}
			for _, addr := range []netip.AddrPort{to, foreign} {
				_, err := c.TrySend(datagram.To(addr, exit))
				conntest.CheckErrno(t, err, syscall.EISCONN)
			}
			conntest.TrySend(t, c, datagram.Datagram{Payload: exit}) // the first

			if err := c.Disconnect(); err != nil {
				t.Fatal(err)
			}
			conntest.CheckErrno(t, c.Disconnect(), syscall.ENOTCONN)
			if c.RemoteAddr().IsValid() {
				t.Errorf("disconnected the peer is %v", c.RemoteAddr())
			}
			conntest.TrySend(t, c, datagram.To(to, exit)) // the second
			_, err := c.TrySend(datagram.Datagram{Payload: exit})
			conntest.CheckErrno(t, err, syscall.EDESTADDRREQ)

			if err := c.Connect(to); err != nil {
				t.Fatal(err)
			}
			conntest.CheckErrno(t, c.Send(t.Context(), datagram.To(to, exit)), syscall.EISCONN)
			completions := make(chan error)
			err = c.SendFunc(t.Context(), datagram.Datagram{Payload: exit}, func(err error) { // the third
				if err != nil {
					t.Error(err)
				}
				if err := c.Disconnect(); err != nil {
					t.Error(err)
				}
				conntest.CheckErrno(t, c.Send(t.Context(), datagram.Datagram{Payload: exit}), syscall.EDESTADDRREQ)
				err = c.SendFunc(t.Context(), datagram.To(to, exit), func(err error) { completions <- err }) // the fourth
				if err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := await.Value(t, "the second completion", completions); err != nil {
				t.Error(err)
			}
			for range 4 {
				conntest.Expect(t, server, "EXIT")
			}
			if s := c.Stats(); s.Sent != 4 || s.SendErrors != 0 || c.SendQueueCount() != 0 {
				t.Errorf("sent %d, failed %d, queued %d; want 4, 0, 0", s.Sent, s.SendErrors, c.SendQueueCount())
			}
		})
	}
}

// R8.
func TestLibuvBadDomain(t *testing.T) {
	c := conntest.New(t)
	for _, network := range []string{"unix", "udp46"} {
		if err := c.Bind(t.Context(), network, "127.0.0.1:0"); err == nil {
			t.Errorf("%s is no network of UDP", network)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	await.Closed(t, "a handle without a socket", c.Done())
}

// R10, R11.
func TestLibuvDualStack(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, only := range []bool{false, true} {
		var opts []datagram.Option
		if only {
			opts = append(opts, datagram.WithIPv6Only())
		}
		server := conntest.Listen(t, "udp", "[::]:0", opts...)
		client, last := conntest.Loopback(t), conntest.Listen(t, "udp6", "[::1]:0")
		port := server.LocalAddr().Port()
		completed := make(chan error, 1)
		err := client.SendFunc(t.Context(), datagram.To(netip.AddrPortFrom(conntest.Localhost4, port), []byte("from IPv4")),
			func(err error) { completed <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := await.Value(t, "the completion", completed); err != nil {
			t.Error(err)
		}
		// What is sent to loopback has arrived by then, or never will.
		conntest.TrySend(t, last, datagram.To(netip.AddrPortFrom(conntest.Localhost6, port), []byte("from IPv6")))
		if !only {
			if d := conntest.Expect(t, server, "from IPv4"); d.Addr != client.LocalAddr() {
				t.Errorf("from %v, want %v", d.Addr, client.LocalAddr())
			}
		}
		conntest.Expect(t, server, "from IPv6")
	}
}

// R23, R24.
func TestLibuvOptions(t *testing.T) {
	for _, network := range []string{"udp4", "udp6"} {
		if network == "udp6" {
			testenv.NeedIPv6(t)
		}
		c := conntest.Listen(t, network, ":0")
		for _, on := range []bool{true, true, false, false} {
			if err := c.SetBroadcast(on); err != nil {
				t.Error(err)
			}
			if err := c.SetMulticastLoopback(on); err != nil {
				t.Error(err)
			}
		}
		for name, set := range map[string]func(int) error{"TTL": c.SetTTL, "multicast TTL": c.SetMulticastTTL} {
			for ttl := 1; ttl <= 255; ttl++ {
				if err := set(ttl); err != nil {
					t.Fatalf("%s %s %d: %v", network, name, ttl, err)
				}
			}
			for _, ttl := range []int{-1, 0, 256} {
				conntest.CheckErrno(t, set(ttl), syscall.EINVAL)
			}
		}
		if c.Active() {
			t.Error("a handle that only has settings is active")
		}
	}
}

// R25.
func TestLibuvNoAutobind(t *testing.T) {
	c := conntest.New(t)
	for name, err := range map[string]error{
		"multicast TTL":       c.SetMulticastTTL(32),
		"broadcast":           c.SetBroadcast(true),
		"TTL":                 c.SetTTL(1),
		"multicast loopback":  c.SetMulticastLoopback(true),
		"multicast interface": c.SetMulticastInterface(nil),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.SyscallConn()
	conntest.CheckErrno(t, err, syscall.EBADF)
	if c.LocalAddr().IsValid() {
		t.Errorf("settings bound %v", c.LocalAddr())
	}
}

// R41, R42, R43.
func TestLibuvNothingRuns(t *testing.T) {
	c := conntest.New(t)
	if c.Active() {
		t.Error("a new handle is active")
	}
	c.Close()
	await.Closed(t, "a new handle", c.Done())

	c = conntest.Loopback(t)
	c.Recv()
	if !c.Active() {
		t.Error("a receiving handle is not active")
	}
	c.Close()
	await.Closed(t, "a receiving handle", c.Done())

	server := conntest.Loopback(t)
	c = conntest.New(t)
	completed := make(chan error, 1)
	if err := c.SendFunc(t.Context(), datagram.To(server.LocalAddr(), []byte("x")), func(err error) { completed <- err }); err != nil {
		t.Fatal(err)
	}
	await.Return(t, "Shutdown", func() {
		if err := c.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	select {
	case err := <-completed:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("Shutdown did not wait for the pending send")
	}
	conntest.Expect(t, server, "x")
}

// R44.
func TestLibuvLocalAddr(t *testing.T) {
	server := conntest.Listen(t, "udp4", "0.0.0.0:0")
	if local := server.LocalAddr(); local.Addr() != netip.IPv4Unspecified() || local.Port() == 0 {
		t.Errorf("the server is bound to %v", local)
	}
	client := conntest.New(t)
	conntest.TrySend(t, client, datagram.To(conntest.Reachable(server), []byte("PING")))
	d := conntest.Expect(t, server, "PING")
	if local := client.LocalAddr(); local.Addr() != netip.IPv4Unspecified() || local.Port() != d.Addr.Port() {
		t.Errorf("the client is bound to %v, and sent from %v", local, d.Addr)
	}
}

// R45.
func TestLibuvDescriptor(t *testing.T) {
	c := conntest.New(t)
	_, err := c.SyscallConn()
	conntest.CheckErrno(t, err, syscall.EBADF)
	if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	called := false
	if err := raw.Control(func(uintptr) { called = true }); err != nil || !called {
		t.Errorf("the raw connection: %v, called %v", err, called)
	}
	c.Close()
	_, err = c.SyscallConn()
	conntest.CheckErrno(t, err, net.ErrClosed)
	if err := raw.Control(func(uintptr) { t.Error("it has a descriptor") }); err == nil {
		t.Error("the raw connection of a closed handle works")
	}
}

// R46.
func TestLibuvBufferSize(t *testing.T) {
	c := conntest.Loopback(t)
	for _, test := range []struct {
		name string
		get  func() (int, error)
		set  func(int) error
	}{{"read", c.ReadBuffer, c.SetReadBuffer}, {"write", c.WriteBuffer, c.SetWriteBuffer}} {
		if size, err := test.get(); err != nil || size <= 0 {
			t.Errorf("the %s buffer has %d bytes, %v", test.name, size, err)
		}
		if err := test.set(10000); err != nil {
			t.Error(err)
		}
		if size, err := test.get(); err != nil || size != 10000 && size != 20000 {
			t.Errorf("the %s buffer has %d bytes, %v; want 10000 or twice that", test.name, size, err)
		}
	}
}
