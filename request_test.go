package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.3, Duplicate: 0.1, Delay: 20 * time.Millisecond})
		defer network.Close()
		server, err := network.Listen(t.Context(), "udp", "10.0.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		go server.Serve(t.Context(), func(d datagram.Datagram) {
			server.Send(t.Context(), d.Reply(d.Payload))
			d.Release()
		})
		client, err := network.Dial(t.Context(), "udp", "10.0.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()

		for number := range byte(100) {
			question := fmt.Sprint("question ", number)
			if answer, err := request(t.Context(), client, number, question); err != nil || answer != question {
				t.Fatalf("%q, %v; want %q", answer, err, question)
			}
		}
		if network.Stats().Lost == 0 {
			t.Error("nothing was lost, so nothing was repeated")
		}

		network.Partition(netip.MustParsePrefix("10.0.0.1/32"), netip.Prefix{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		_, err = request(ctx, client, 100, "anybody there?")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Hour {
			t.Errorf("%v after %v, want DeadlineExceeded after an hour", err, time.Since(begin))
		}
	})
}
