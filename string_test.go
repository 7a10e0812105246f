package datagram_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
)

// What people read, of which programs should read the fields.
func TestStrings(t *testing.T) {
	for _, test := range []struct {
		value fmt.Stringer
		want  string
	}{
		{datagram.Stats{
			Accepted: 1, Queued: 2, Sent: 3, SentBytes: 4, SendErrors: 5, Received: 6, ReceivedBytes: 7, Delivered: 8, Truncated: 9, Held: 10,
			KernelDrops: 11, PolicyDrops: 12, StaleDrops: 13, CloseDrops: 14, ReceiveErrors: 15, Retries: 16, NoBuffers: 19, Fallbacks: 20, SendCalls: 17, ReceiveCalls: 18,
		}, `
accepted   1 datagrams, 2 queued
sent       3 datagrams, 4 bytes, 5 failed, 17 calls
repeated   16 retries, 19 without buffers, 20 batches without GSO
received   6 datagrams, 7 bytes, 15 errors, 18 calls
delivered  8 datagrams, 9 truncated, 10 held
dropped    11 by the kernel, 12 by policy, 13 stale, 14 by Close`},
		{datagram.Capabilities{
			Batch: datagram.Feature{Active: true}, GSO: datagram.Feature{Active: true, Reason: "not everywhere"},
			GRO: datagram.Feature{Reason: "too old"}, System: "a system", ReceiveMessages: 1, SendMessages: 2, Segments: 3,
			ReadBuffer: datagram.Buffer{Granted: 4}, WriteBuffer: datagram.Buffer{Asked: 6, Granted: 5, Reason: "the limit"},
		}, `
system         a system
batch          on
GSO            on (not everywhere)
GRO            off (too old)
at a time      1 messages received, 2 sent, 3 datagrams in one
local address  off
hop limit      off
traffic class  off
time stamp     off
network errors off
don't fragment off
kernel drops   off
read buffer    4 bytes
write buffer   5 bytes, asked for 6 (the limit)`},
	} {
		if got := "\n" + test.value.String(); got != test.want {
			t.Errorf("%T:%s\nwant:%s", test.value, got, test.want)
		}
	}
	err := &datagram.NetworkError{Dst: netip.MustParseAddrPort("192.0.2.1:9"), Err: syscall.ECONNREFUSED}
	plain := err.Error()
	err.Offender = netip.MustParseAddr("198.51.100.1")
	if got, want := err.Error(), plain+" (reported by 198.51.100.1)"; got != want || plain != "datagram to 192.0.2.1:9: connection refused" {
		t.Errorf("%q and %q", plain, got)
	}
}
