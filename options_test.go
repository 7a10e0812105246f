package datagram_test

import (
	"math"
	"syscall"
	"testing"

	"example.com/datagram"
)

func TestOptionsOutOfRange(t *testing.T) {
	for _, test := range []struct {
		name string
		opt  datagram.Option
		text string
	}{
		{"nil", nil, "option"},
		{"interface without a name", datagram.WithInterface(""), "interface"},
		{"receive queue 0", datagram.WithRecvQueue(0, datagram.Block), "receive queue"},
		{"receive queue -1", datagram.WithRecvQueue(-1, datagram.Block), "receive queue"},
		{"receive queue minimal", datagram.WithRecvQueue(math.MinInt, datagram.Block), "receive queue"},
		{"receive queue maximal", datagram.WithRecvQueue(math.MaxInt, datagram.Block), "receive queue"},
		{"overflow policy", datagram.WithRecvQueue(1, datagram.DropOldest+1), "receive queue"},
		{"send queue count 0", datagram.WithSendQueue(0, 1), "send queue"},
		{"send queue count -1", datagram.WithSendQueue(-1, 1), "send queue"},
		{"send queue bytes 0", datagram.WithSendQueue(1, 0), "send queue"},
		{"send queue bytes -1", datagram.WithSendQueue(1, math.MinInt), "send queue"},
		{"datagram size 0", datagram.WithMaxDatagramSize(0), "maximum datagram size"},
		{"datagram size -1", datagram.WithMaxDatagramSize(-1), "maximum datagram size"},
		{"datagram size maximal", datagram.WithMaxDatagramSize(math.MaxInt), "maximum datagram size"},
		{"metadata kind", datagram.WithMetadata(datagram.MetaLocal, 200), "metadata kind"},
		{"error handler", datagram.WithErrorHandler(nil), "error handler"},
		{"offload", datagram.WithOffload(datagram.OffloadAll + 1), "offload"},
		{"control", datagram.WithControl(nil), "control"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := datagram.New(datagram.WithTTL(3), test.opt)
			if c != nil {
				t.Error("New returned a handle beside the error")
				c.Close()
			}
			want := opShape{op: "new", network: "udp", is: syscall.EINVAL, text: test.text}
			checkOpError(t, err, want)
			_, err = datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", test.opt)
			checkOpError(t, err, want)
			_, err = datagram.Dial(t.Context(), "udp4", "127.0.0.1:9", test.opt)
			checkOpError(t, err, want)
			_, err = datagram.Open(nil, test.opt)
			checkOpError(t, err, want)
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
			c := boundConn(t, "udp4", "127.0.0.1:0", opt)
			if err := c.Send(t.Context(), datagram.To(c.LocalAddr(), []byte("x"))); err != nil {
				t.Fatal(err)
			}
			awaitPayload(t, c, "x")
		})
	}
}

// Of options given twice the later wins, for those that have no getter.
func TestLaterOptionWins(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0",
		datagram.WithMaxDatagramSize(2), datagram.WithMaxDatagramSize(3),
		datagram.WithRecvQueue(2, datagram.DropNewest), datagram.WithRecvQueue(5, datagram.Block),
		datagram.WithSendQueue(1, 1), datagram.WithSendQueue(5, 5),
		datagram.WithErrorHandler(func(error) { t.Error("the earlier handler was called") }),
		datagram.WithErrorHandler(func(error) {}),
	)
	if n := cap(c.Recv()); n != 5 {
		t.Errorf("the channel has room for %d, want 5", n)
	}
	mustSend(t, c, datagram.To(c.LocalAddr(), []byte("abcd")))
	if d := awaitPayload(t, c, "abc"); !d.Partial {
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
	c := boundConn(t, "udp4", "127.0.0.1:0",
		datagram.WithMetadata(datagram.MetaHopLimit), datagram.WithMetadata(datagram.MetaTime, datagram.MetaLocal))
	mustSend(t, c, datagram.To(c.LocalAddr(), []byte("x")))
	d := awaitPayload(t, c, "x")
	if d.Meta.HopLimit == 0 || d.Meta.Time.IsZero() || d.Meta.Local != loopback4 {
		t.Errorf("of all that was asked for came %+v", d.Meta)
	}
}

// A switch that is misspelt in an emergency must not pass for one that has no effect.
func TestUnknownOffloadInTheEnvironment(t *testing.T) {
	t.Setenv("DATAGRAM_OFFLOAD", "no-gso")
	_, err := datagram.New()
	checkOpError(t, err, opShape{op: "new", network: "udp", is: syscall.EINVAL, text: "DATAGRAM_OFFLOAD=no-gso"})
}
