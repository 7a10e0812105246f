package consumers_test

import (
	"net"
	"testing"

	"github.com/beevik/ntp"
)

// TestNTP lets beevik/ntp ask a server whose clock is the client's.
func TestNTP(t *testing.T) {
	server := answer(t, func(question []byte) []byte {
		reply := make([]byte, 48)      // RFC 5905 section 7.3
		reply[0], reply[1] = 4<<3|4, 1 // version 4, server; stratum 1
		copy(reply[12:], "TEST")
		transmitted := question[40:48]
		for _, field := range []int{16, 24, 32, 40} { // reference, origin, receive and transmit time
			copy(reply[field:], transmitted)
		}
		return reply
	})
	response, err := ntp.QueryWithOptions(server.String(), ntp.QueryOptions{
		Dialer: func(_, remote string) (net.Conn, error) { return dial(t, remote), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if response.Stratum != 1 || response.ReferenceString() != ".TEST." {
		t.Errorf("stratum %d, reference %s", response.Stratum, response.ReferenceString())
	}
}
