package session_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/session"
)

// An echo server with a goroutine for each session.
func ExampleListen() {
	ctx := context.Background()
	handle, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()
	listener, err := session.Listen(session.Config{}, handle)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the listener is closed
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 1500)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return // idle, or closed
					}
					if _, err := conn.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()

	for _, name := range []string{"Alice", "Bob"} {
		client, err := net.Dial("udp", listener.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer client.Close()
		fmt.Fprintf(client, "I am %s", name)
		buf := make([]byte, 1500)
		n, err := client.Read(buf)
		fmt.Printf("%s %v\n", buf[:n], err)
	}
	fmt.Println(listener.Stats().Sessions, "sessions")

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = listener.Shutdown(ended) // does not wait for the sessions to end, but closes them
	fmt.Println(listener.Stats().Closed, "closed")
	// Output:
	// I am Alice <nil>
	// I am Bob <nil>
	// 2 sessions
	// 2 closed
}

// A server without a goroutine for each session. It numbers what each client sends.
func ExampleConfig_handle() {
	ctx := context.Background()
	handle, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()
	listener, err := session.Listen(session.Config{Handle: func(c *session.Conn, d datagram.Datagram) {
		defer d.Release()
		number, _ := c.Data().(int)
		c.SetData(number + 1)
		fmt.Fprintf(c, "%d: %s", number+1, d.Payload)
	}}, handle)
	if err != nil {
		fmt.Println(err)
		return
	}

	client, err := net.Dial("udp", listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	for _, text := range []string{"hello", "bye"} {
		fmt.Fprint(client, text)
		buf := make([]byte, 1500)
		n, err := client.Read(buf)
		fmt.Printf("%s %v\n", buf[:n], err)
	}
	// Output:
	// 1: hello <nil>
	// 2: bye <nil>
}

// A server that opens sessions only for peers that receive at the address that they send from. It answers the first
// datagram of a new peer with a cookie, which is a keyed hash of the address, and admits those who return it. It
// stores nothing about the others. A real server also includes the time in the hash.
func ExampleConfig_admit() {
	ctx := context.Background()
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	handle, err := network.Listen(ctx, "udp", "10.0.0.1:7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()
	key := []byte(rand.Text())
	cookie := func(d datagram.Datagram) []byte {
		mac := hmac.New(sha256.New, key)
		fmt.Fprint(mac, d.Addr)
		return mac.Sum(nil)
	}
	listener, err := session.Listen(session.Config{Admit: func(d datagram.Datagram) bool {
		want := cookie(d)
		if hmac.Equal(d.Payload, want) {
			return true
		}
		if len(d.Payload) >= len(want) { // else the answer would be longer than the question
			_ = handle.TryQueue(d.Reply(want))
		}
		return false
	}}, handle)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()

	client, err := network.Dial(ctx, "udp", "10.0.0.1:7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_ = client.Send(ctx, datagram.Datagram{Payload: bytes.Repeat([]byte("?"), sha256.Size)})
	_ = client.Send(ctx, datagram.Datagram{Payload: (<-client.Recv()).Payload}) // the cookie
	conn, err := listener.AcceptContext(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println("admitted", conn.Peer() == client.LocalAddr(), "after", listener.Stats().RefusedAdmit, "refusal")
	// Output:
	// admitted true after 1 refusal
}
