package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newSend(out *output) *cobra.Command {
	s := sender{out: out}
	cmd := &cobra.Command{
		Use:   "send HOST:PORT [MESSAGE...]",
		Short: "Send datagrams to a host, a group or a broadcast address",
		Long:  "Send datagrams to a host, a group or a broadcast address: one for each message, or else one for each\nline of the standard input.",
		Example: `  datagram send 192.0.2.1:7777 hello
  datagram send --interface eth0 --ttl 4 239.192.7.1:7777 hello
  tail -f log | datagram send logs.example:514`,
		Args: wantArgs(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0], args[1:]) },
	}
	flags := cmd.Flags()
	networkFlag(cmd, &s.network)
	flags.StringVarP(&s.ifname, "interface", "i", "", "`name` of the interface to send by; by default the system chooses")
	flags.IntVar(&s.ttl, "ttl", 0, "how many networks a datagram may cross, 1 to 255; 0 means 1 for groups, else the system's default")
	flags.BoolVar(&s.loopback, "loopback", true, "deliver datagrams to groups on this host too")
	flags.BoolVar(&s.broadcast, "broadcast", false, "allow broadcast addresses")
	flags.DurationVar(&s.deadline, "deadline", 5*time.Second, "how long sending what is queued may take at the end")
	return cmd
}

// sender holds the flags of the command.
type sender struct {
	out                 *output
	network, ifname     string
	ttl                 int
	loopback, broadcast bool
	deadline            time.Duration
}

func (s *sender) run(ctx context.Context, address string, messages []string) error {
	if err := inRange("ttl", s.ttl, 0, 255); err != nil {
		return err
	}
	to, err := resolve(ctx, s.network, address)
	if err != nil {
		return err
	}
	opts, err := s.options(to.Addr())
	if err != nil {
		return err
	}
	conn, err := datagram.New(opts...)
	if err != nil {
		return err
	}
	defer conn.Close()

	// Completion functions run one at a time, and none after Shutdown.
	var failure error // the first
	send := func(message []byte) error {
		return conn.SendFunc(ctx, datagram.To(to, message), func(err error) {
			if failure == nil {
				failure = err
			}
		})
	}
	m := newMeter()
	stop := s.out.watch(func() view { return newSendResult(conn, to, m) })
	if len(messages) > 0 {
		err = each(messages, send)
	} else {
		err = eachLine(ctx, os.Stdin, send)
	}
	stop()
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}

	// A signal ends reading. What was accepted is sent even so.
	expiring, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.deadline)
	defer cancel()
	if late := conn.Shutdown(expiring); late != nil {
		err = errors.Join(err, fmt.Errorf("not all was sent within %v: %w", s.deadline, late))
	}
	<-conn.Done()
	s.out.say("summary", newSendResult(conn, to, m))
	if errors.Is(failure, syscall.EACCES) && !s.broadcast {
		failure = fmt.Errorf("%w (a broadcast address needs --broadcast)", failure)
	}
	return errors.Join(failure, err)
}

// options returns the options of a handle that sends to addr.
func (s *sender) options(addr netip.Addr) ([]datagram.Option, error) {
	opts := []datagram.Option{datagram.WithMulticastLoopback(s.loopback), datagram.WithErrorHandler(s.out.warn)}
	if s.broadcast {
		opts = append(opts, datagram.WithBroadcast())
	}
	if s.ttl > 0 {
		opts = append(opts, datagram.WithTTL(s.ttl), datagram.WithMulticastTTL(s.ttl))
	}
	if s.ifname == "" {
		return opts, nil
	}
	ifi, err := interfaceByName(s.ifname)
	switch {
	case err != nil:
		return nil, err
	case addr.IsMulticast():
		return append(opts, datagram.WithMulticastInterface(ifi)), nil
	}
	return append(opts, datagram.WithInterface(s.ifname)), nil
}

func each(messages []string, send func([]byte) error) error {
	for _, message := range messages {
		if err := send([]byte(message)); err != nil {
			return err
		}
	}
	return nil
}

// maxPayload is the largest payload of UDP over IPv4: 65,535 bytes less the headers of IP and UDP.
const maxPayload = 65535 - 20 - 8

// eachLine calls send with each line of r until ctx ends. A goroutine may then still wait for r.
func eachLine(ctx context.Context, r io.Reader, send func([]byte) error) error {
	lines, ended := make(chan []byte), make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, maxPayload+len("\n"))
		n := 1
		for ; scanner.Scan(); n++ {
			select {
			case lines <- append([]byte(nil), scanner.Bytes()...):
			case <-ctx.Done():
				return
			}
		}
		err := scanner.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("line %d does not fit into a datagram: it is longer than %d bytes", n, maxPayload)
		}
		ended <- err
	}()
	for {
		select {
		case line := <-lines:
			if err := send(line); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendResult is how much was sent.
type sendResult struct {
	To       string  `json:"to"`
	Accepted uint64  `json:"accepted"`
	Sent     uint64  `json:"sent"`
	Failed   uint64  `json:"failed"`
	Rate     float64 `json:"datagrams_per_second"`
}

func newSendResult(conn *datagram.Conn, to netip.AddrPort, m *meter) sendResult {
	s := conn.Stats()
	return sendResult{to.String(), s.Accepted, s.Sent, s.SendErrors, m.rate(s.Sent)}
}

func (s sendResult) String() string {
	return fmt.Sprintf("sent %d of %s to %s", s.Sent, plural(s.Accepted, "datagram"), s.To)
}

func (s sendResult) line() string { return s.String() + ", " + perSecond(s.Rate) }

func (s sendResult) lines() []string { return []string{s.line()} }
