package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/datagram"
)

// request asks a question until the answer arrives or ctx ends. Question and
// answer begin with a number that no other request of the handle has.
func request(ctx context.Context, conn *datagram.Conn, number byte, question string) (string, error) {
	for patience := time.Second; ; patience *= 2 { // RFC 6298 sections 2.1 and 5.5
		d := datagram.Datagram{Payload: append([]byte{number}, question...)}
		if err := conn.Send(ctx, d); err != nil {
			return "", err
		}
		attempt, cancel := context.WithTimeout(ctx, patience)
		answer, err := answerTo(attempt, conn, number)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return answer, err
		}
	}
}

// answerTo waits for the answer with a number. It skips all others: they are
// late, or came twice.
func answerTo(ctx context.Context, conn *datagram.Conn, number byte) (string, error) {
	for {
		select {
		case d, ok := <-conn.Recv():
			if !ok {
				return "", conn.Err()
			}
			answer := string(d.Payload) // a copy
			d.Release()
			if len(answer) > 0 && answer[0] == number {
				return answer[1:], nil
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// A client repeats a request until the answer to it arrives, since either may be
// lost.
func Example_request() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go server.Serve(ctx, func(d datagram.Datagram) {
		server.Send(ctx, d.Reply(d.Payload))
		d.Release()
	})

	client, err := datagram.Dial(ctx, "udp", server.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(request(ctx, client, 1, "anybody there?"))
	// Output: anybody there? <nil>
}
