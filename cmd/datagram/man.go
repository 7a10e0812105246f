package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan(out *output) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [COMMAND...]",
		Short: "Print the manual page of a command, or write all of them to a directory",
		Example: `  datagram man ping | man -l -
  datagram man --dir /usr/local/share/man/man1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			header := &doc.GenManHeader{Section: "1", Source: "datagram " + root.Version}
			if dir != "" {
				return doc.GenManTree(root, header, dir)
			}
			described, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("there is no command %q", args)}
			}
			var page bytes.Buffer
			if err := doc.GenMan(described, header, &page); err != nil {
				return err
			}
			out.say("page", &page)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write the pages of all commands to this `directory`")
	return cmd
}
