package main

import (
	"context"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newListen(out *output) *cobra.Command {
	p := printer{out: out}
	var network string
	var reuse bool
	cmd := &cobra.Command{
		Use:   "listen ADDRESS",
		Short: "Print the datagrams that come to an address",
		Example: `  datagram listen 7777
  datagram listen --payload hex --count 1 127.0.0.1:7777
  datagram listen -o json :514 | jq .datagram.payload`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := p.options()
			if reuse {
				opts = append(opts, datagram.WithReuseAddr())
			}
			return runListen(cmd.Context(), &p, network, args[0], opts)
		},
	}
	p.flags(cmd)
	networkFlag(cmd, &network)
	cmd.Flags().BoolVar(&reuse, "reuse", false, "share the port with other programs that do so, for broadcasts")
	return cmd
}

func runListen(ctx context.Context, p *printer, network, address string, opts []datagram.Option) error {
	if err := atLeast("count", p.count, 0); err != nil {
		return err
	}
	conn, err := listen(ctx, network, address, opts...)
	if err != nil {
		return err
	}
	defer conn.Close()
	p.out.say("listening", listening{Address: conn.LocalAddr().String()})
	return p.run(ctx, conn)
}
