package datagramtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// A transfer sends messages one after the other, and repeats each until it is acknowledged. The receiver
// recognizes messages that it already has by a number. The transfer looks right, and works over networks that
// only lose datagrams.
//
// Its mistake is that, unless it is corrected, an acknowledgement does not name its message. A late or
// duplicate acknowledgement passes for that of the next message, which is never repeated if it was lost.
type transfer struct{ corrected bool }

func (p transfer) send(ctx context.Context, conn *datagram.Conn, messages []string) error {
	for i, m := range messages {
		if err := p.sendOne(ctx, conn, i, m); err != nil {
			return err
		}
	}
	return nil
}

func (p transfer) sendOne(ctx context.Context, conn *datagram.Conn, number int, message string) error {
	const timeout = 100 * time.Millisecond
	resend := time.NewTicker(timeout)
	defer resend.Stop()
	for {
		d := datagram.Datagram{Payload: fmt.Appendf(nil, "%d %s", number, message)}
		if err := conn.Send(ctx, d); err != nil {
			return err
		}
		for waiting := true; waiting; {
			select {
			case d, ok := <-conn.Recv():
				if !ok {
					return conn.Err()
				}
				if !p.corrected || string(d.Payload) == fmt.Sprintf("ok %d", number) {
					return nil
				}
			case <-resend.C:
				waiting = false
			}
		}
	}
}

func (p transfer) receive(ctx context.Context, conn *datagram.Conn) (messages []string) {
	next := 0
	for d := range conn.Recv() {
		number, message, _ := strings.Cut(string(d.Payload), " ")
		if number == fmt.Sprint(next) { // not one that it already has
			messages = append(messages, message)
			next++
		}
		if conn.Send(ctx, d.Reply([]byte("ok "+number))) != nil {
			break
		}
	}
	return messages
}

// transferOver runs a transfer over a random network and returns what arrived.
func transferOver(t *testing.T, seed uint64, link datagramtest.Link, p transfer, messages []string) (got []string, log []datagramtest.Event) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(seed, link)
		defer network.Close()
		server, err := network.Listen(t.Context(), "udp", "10.0.0.1:69")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		client, err := network.Dial(t.Context(), "udp", "10.0.0.1:69")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var receiving sync.WaitGroup
		receiving.Go(func() { got = p.receive(t.Context(), server) })
		if err := p.send(t.Context(), client, messages); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // for datagrams in transit
		server.StopRecv()
		receiving.Wait()
		log = network.Log()
	})
	return got, log
}

var (
	messages = []string{"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"}
	rough    = datagramtest.Link{Loss: 0.1, Duplicate: 0.05, Delay: 20 * time.Millisecond, Jitter: 40 * time.Millisecond}
)

// The simulation finds the mistake in a fraction of a second: it tries seeds until a transfer goes wrong, and
// with that seed it goes wrong every time.
func TestNaiveTransfer(t *testing.T) {
	start := time.Now()
	for seed := range uint64(1000) {
		got, log := transferOver(t, seed, rough, transfer{}, messages)
		if slices.Equal(got, messages) {
			continue
		}
		t.Logf("after %v, with seed %d, this arrived: %v", time.Since(start), seed, got)
		for _, event := range log {
			t.Log(event)
		}
		if again, _ := transferOver(t, seed, rough, transfer{}, messages); !slices.Equal(again, got) {
			t.Errorf("the same seed gave %v, then %v", got, again)
		}
		return
	}
	t.Error("the mistake was not found")
}

// Tests with a network that only loses datagrams would not have found it.
func TestNaiveTransferWithLossOnly(t *testing.T) {
	for seed := range uint64(200) {
		got, _ := transferOver(t, seed, datagramtest.Link{Loss: 0.1, Delay: 20 * time.Millisecond}, transfer{}, messages)
		if !slices.Equal(got, messages) {
			t.Fatalf("seed %d: %v", seed, got)
		}
	}
}

func TestCorrectedTransfer(t *testing.T) {
	for seed := range uint64(200) {
		got, _ := transferOver(t, seed, rough, transfer{corrected: true}, messages)
		if !slices.Equal(got, messages) {
			t.Fatalf("seed %d: %v", seed, got)
		}
	}
}
