package main

import (
	"context"
	"math"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"example.com/datagram"
)

func newEcho(out *output) *cobra.Command {
	s := server{out: out}
	var limit float64
	cmd := &cobra.Command{
		Use:   "echo ADDRESS...",
		Short: "Send every datagram back to its sender",
		Long:  "Send every datagram back to its sender. Senders' addresses are easily forged: where strangers can reach\nthe port, limit the rate.",
		Example: `  datagram echo 7777
  datagram echo --rate 100 0.0.0.0:7 [::1]:7777`,
		Args: wantArgs(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error { return runEcho(cmd.Context(), &s, args, limit) },
	}
	s.flags(cmd)
	cmd.Flags().Float64Var(&limit, "rate", 0, "most answers `per second`; 0 for no limit")
	return cmd
}

func runEcho(ctx context.Context, s *server, addresses []string, limit float64) error {
	if err := inRange("rate", limit, 0, 1e9); err != nil {
		return err
	}
	limiter := rate.NewLimiter(rate.Inf, 0)
	if limit > 0 {
		limiter = rate.NewLimiter(rate.Limit(limit), int(max(limit, 1)))
	}
	answering := context.WithoutCancel(ctx) // answer what was received before the end
	return s.run(ctx, addresses, func(conn *datagram.Conn, d datagram.Datagram) {
		if !limiter.Allow() {
			return
		}
		if err := conn.Send(answering, d.Reply(d.Payload)); err != nil {
			s.out.warn(err)
		}
	})
}
