// Transfer sends a file reliably.
//
//	go run ./transfer receive . 127.0.0.1:7780
//	go run ./transfer send photo.jpg 127.0.0.1:7780
//
// It is an example of what a protocol on datagrams has to do itself: tell packets apart from noise, match answers, wait
// with time-outs that fit the network, try again, keep many packets in flight but no more than the network bears, and
// agree on the end. See sender.go and receiver.go. Nothing is encrypted: anybody who can reach a receiver can send to it.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/time/rate"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
)

func main() {
	limit := flag.Int64("limit", 1<<30, "size of the largest file to receive in `bytes`")
	command.Main("transfer", "send|receive path address", func(ctx context.Context, args []string) error {
		switch path, address := args[1], args[2]; args[0] {
		case "send":
			return send(ctx, path, address)
		case "receive":
			return receive(ctx, path, address, *limit)
		default:
			return command.Usagef("%q is neither send nor receive", args[0])
		}
	})
}

var logged = rate.Sometimes{Interval: time.Second}

func report(err error) { logged.Do(func() { log.Print(err) }) }

func send(ctx context.Context, path, address string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return err
	}
	if size > maxSize {
		return fmt.Errorf("%s is too large", path)
	}
	conn, err := datagram.Dial(ctx, "udp", address, datagram.WithErrorHandler(report))
	if err != nil {
		return err
	}
	defer conn.Close()
	start := time.Now()
	s := newSender(conn, offer{Name: filepath.Base(path), Size: size, SHA256: hash.Sum(nil)}, file)
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("%s to %s: %w", path, address, err)
	}
	_, err = fmt.Printf("sent %d bytes in %v, %d of %d packets again\n", size, time.Since(start).Round(time.Millisecond), s.repeated, s.total)
	return err
}

func receive(ctx context.Context, directory, address string, limit int64) error {
	root, err := os.OpenRoot(directory) // files cannot be outside
	if err != nil {
		return err
	}
	defer root.Close()
	conn, err := datagram.Listen(ctx, "udp", address, datagram.WithErrorHandler(report), datagram.WithReadBuffer(4<<20))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Println("listening on", conn.LocalAddr()); err != nil {
		return err
	}
	failure := newReceiver(conn, root, limit, os.Stdout, report).run(command.Recv(ctx, conn))
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	return errors.Join(failure, conn.Shutdown(expiring))
}
