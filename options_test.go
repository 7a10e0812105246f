package datagram_test

import (
	"math"
	"net"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

func TestOptionsOutOfRange(t *testing.T) {
	for _, test := range []struct {
		name string
		opt  datagram.Option
		text string
	}{
		{"nil", nil, "nil option"},
		{"interface without a name", datagram.WithInterface(""), "interface without a name"},
		{"receive queue 0", datagram.WithRecvQueue(0, datagram.Block), "receive queue: 0 is not in 1…1048576"},
		{"receive queue -1", datagram.WithRecvQueue(-1, datagram.Block), "receive queue: -1 is not in 1…1048576"},
		{"receive queue minimal", datagram.WithRecvQueue(math.MinInt, datagram.Block), "receive queue"},
		{"receive queue maximal", datagram.WithRecvQueue(math.MaxInt, datagram.Block), "receive queue"},
		{"overflow policy", datagram.WithRecvQueue(1, datagram.DropOldest+1), "overflow policy of the receive queue: 3 is not in 0…2"},
		{"send queue count 0", datagram.WithSendQueue(0, 1), "datagrams of the send queue: 0 is less than 1"},
		{"send queue count -1", datagram.WithSendQueue(-1, 1), "datagrams of the send queue: -1 is less than 1"},
		{"send queue bytes 0", datagram.WithSendQueue(1, 0), "bytes of the send queue: 0 is less than 1"},
		{"send queue bytes -1", datagram.WithSendQueue(1, math.MinInt), "send queue"},
		{"datagram size 0", datagram.WithMaxDatagramSize(0), "maximum datagram size: 0 is not in 1…1073741824"},
		{"datagram size -1", datagram.WithMaxDatagramSize(-1), "maximum datagram size"},
		{"datagram size maximal", datagram.WithMaxDatagramSize(math.MaxInt), "maximum datagram size"},
		{"metadata kind", datagram.WithMetadata(datagram.MetaLocal, 200), "metadata kind: 200 is not in 0…3"},
		{"error handler", datagram.WithErrorHandler(nil), "nil error handler"},
		{"offload", datagram.WithOffload(datagram.OffloadAll + 1), "offload: 3 is not in 0…2"},
		{"TTL 0", datagram.WithTTL(0), "TTL: 0 is not in 1…255"},
		{"multicast TTL 256", datagram.WithMulticastTTL(256), "multicast TTL: 256 is not in 1…255"},
		{"read buffer -1", datagram.WithReadBuffer(-1), "read buffer: -1 is "}, // not in 0…2147483647, on 32 bits less than 0
		{"write buffer -1", datagram.WithWriteBuffer(-1), "write buffer: -1 is "},
		{"multicast interface", datagram.WithMulticastInterface(&net.Interface{}), "multicast interface without a valid index"},
		{"maximum age 0", datagram.WithMaxAge(0), "maximum age: 0s is not positive"},
		{"maximum age -1s", datagram.WithMaxAge(-time.Second), "maximum age: -1s is not positive"},
		{"control", datagram.WithControl(nil), "nil control function"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := datagram.New(datagram.WithTTL(3), test.opt)
			if c != nil {
				t.Error("New returned a handle beside the error")
				c.Close()
			}
			want := conntest.OpError{Op: "new", Network: "udp", Is: syscall.EINVAL, Text: test.text}
			conntest.CheckOpError(t, err, want)
			_, err = datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", test.opt)
			conntest.CheckOpError(t, err, want)
			_, err = datagram.Dial(t.Context(), "udp4", "127.0.0.1:9", test.opt)
			conntest.CheckOpError(t, err, want)
			_, err = datagram.Open(nil, test.opt)
			conntest.CheckOpError(t, err, want)
		})
	}
}

func TestOptionsAtTheirBounds(t *testing.T) {
	for name, opt := range map[string]datagram.Option{
		"smallest receive queue":     datagram.WithRecvQueue(1, datagram.Block),
		"smallest send queue":        datagram.WithSendQueue(1, 1),
		"unbounded send queue":       datagram.WithSendQueue(math.MaxInt, math.MaxInt),
		"smallest datagram":          datagram.WithMaxDatagramSize(1),
		"larger than any datagram":   datagram.WithMaxDatagramSize(1 << 20),
		"no metadata":                datagram.WithMetadata(),
		"smallest buffers":           datagram.WithReadBuffer(0),
		"buffers beyond any limit":   datagram.WithWriteBuffer(math.MaxInt32),
		"interface of the system":    datagram.WithMulticastInterface(nil),
		"one datagram a system call": datagram.WithOffload(datagram.OffloadNone),
		"no data":                    datagram.WithData(nil),
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Loopback(t, opt)
			if err := c.Send(t.Context(), datagram.To(c.LocalAddr(), []byte("x"))); err != nil {
				t.Fatal(err)
			}
			conntest.Expect(t, c, "x")
		})
	}
}

// Of options given twice the later wins, for those that have no getter.
func TestLaterOptionWins(t *testing.T) {
	c := conntest.Loopback(t,
		datagram.WithMaxDatagramSize(2), datagram.WithMaxDatagramSize(3),
		datagram.WithRecvQueue(2, datagram.DropNewest), datagram.WithRecvQueue(5, datagram.Block),
		datagram.WithSendQueue(1, 1), datagram.WithSendQueue(5, 5),
		datagram.WithErrorHandler(func(error) { t.Error("the earlier handler was called") }),
		datagram.WithErrorHandler(func(error) {}),
	)
	if n := cap(c.Recv()); n != 5 {
		t.Errorf("the channel has room for %d, want 5", n)
	}
	conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("abcd")))
	if d := conntest.Expect(t, c, "abc"); !d.Partial {
		t.Error("what was cut is not Partial")
	}
	// A datagram that the system refuses is for the error handler.
	if err := c.Send(t.Context(), datagram.To(c.LocalAddr(), make([]byte, 65508))); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// WithMetadata adds instead.
func TestMetadataKindsAddUp(t *testing.T) {
	c := conntest.Loopback(t,
		datagram.WithMetadata(datagram.MetaHopLimit), datagram.WithMetadata(datagram.MetaTime, datagram.MetaLocal))
	conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("x")))
	d := conntest.Expect(t, c, "x")
	if d.Meta.HopLimit == 0 || d.Meta.Time.IsZero() || d.Meta.Local != conntest.Localhost4 {
		t.Errorf("of all that was asked for came %+v", d.Meta)
	}
}

// A switch that is misspelt in an emergency must not pass for one that has no effect.
func TestUnknownOffloadInTheEnvironment(t *testing.T) {
	t.Setenv("DATAGRAM_OFFLOAD", "no-gso")
	_, err := datagram.New()
	conntest.CheckOpError(t, err, conntest.OpError{Op: "new", Network: "udp", Is: syscall.EINVAL, Text: "DATAGRAM_OFFLOAD=no-gso is not none, batch, nogso or nogro"})
}
