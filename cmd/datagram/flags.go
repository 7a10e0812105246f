package main

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A choice is a flag with one of several values.
type choice struct {
	value  *string
	values []string
}

// choose returns a flag for value, which is at first the first of values.
func choose(value *string, values ...string) *choice {
	*value = values[0]
	return &choice{value, values}
}

// Set implements [pflag.Value].
func (c *choice) Set(s string) error {
	if !slices.Contains(c.values, s) {
		return fmt.Errorf("choose %s", strings.Join(c.values, ", "))
	}
	*c.value = s
	return nil
}

// String implements [pflag.Value].
func (c *choice) String() string { return *c.value }

// Type implements [pflag.Value]. The help text shows it.
func (c *choice) Type() string { return "string" }

// networkFlag adds the flag that selects a network.
func networkFlag(cmd *cobra.Command, network *string) {
	cmd.Flags().Var(choose(network, "udp", "udp4", "udp6"), "network", "udp, udp4 or udp6")
}

// inRange returns an error unless the value of a flag is in a range.
func inRange[T cmp.Ordered](flag string, value, lowest, highest T) error {
	if !(value >= lowest && value <= highest) { // so that NaN is refused
		return usageError{fmt.Errorf("--%s: %v is not in %v…%s", flag, value, lowest, plain(highest))}
	}
	return nil
}

// plain formats a number without an exponent.
func plain(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// atLeast returns an error unless the value of a flag is large enough.
func atLeast[T cmp.Ordered](flag string, value, lowest T) error {
	if !(value >= lowest) { // so that NaN is refused
		return usageError{fmt.Errorf("--%s: %v is less than %v", flag, value, lowest)}
	}
	return nil
}

// wantArgs returns a check of the number of arguments.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if least <= len(args) && len(args) <= most {
			return nil
		}
		_, wanted, _ := strings.Cut(cmd.Use, " ")
		if wanted == "" {
			wanted = "no argument"
		}
		got := "none"
		if len(args) > 0 {
			got = fmt.Sprintf("%q", args)
		}
		return fmt.Errorf("want %s, got %s", wanted, got)
	}
}

// complete tells shells the values of a command's choices, and the interfaces that it can name.
func complete(cmd *cobra.Command) {
	cmd.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) {
		values := func() []string { return nil }
		if c, ok := flag.Value.(*choice); ok {
			values = func() []string { return c.values }
		} else if flag.Name == "interface" {
			values = interfaces
		}
		err := cmd.RegisterFlagCompletionFunc(flag.Name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return values(), cobra.ShellCompDirectiveNoFileComp
		})
		if err != nil {
			panic(err) // the flag exists
		}
	})
	for _, sub := range cmd.Commands() {
		complete(sub)
	}
}

// interfaces returns the names of the host's interfaces.
func interfaces() (names []string) {
	all, _ := net.Interfaces()
	for _, ifi := range all {
		names = append(names, ifi.Name)
	}
	return names
}
