package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// group returns a group's address with a port that is free.
func group(t *testing.T) string {
	t.Helper()
	probe := conntest.QuietPort(t)
	defer probe.Close()
	return net.JoinHostPort("239.192.7.1", fmt.Sprint(probe.LocalAddr().Port()))
}

// A person has a program to type into and to read from.
type person struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

func join(t *testing.T, path string, args ...string) *person {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), program.Patience)
	t.Cleanup(cancel)
	p := &person{t: t, cmd: exec.CommandContext(ctx, path, append(args, "-interface", conntest.LoopbackInterface(t).Name)...)}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = os.Stderr
	p.lines = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = p.cmd.Wait() })
	if line := p.hears(); !strings.HasPrefix(line, "talking to ") {
		t.Fatalf("printed %q", line)
	}
	return p
}

func (p *person) says(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) hears() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%v after %q", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

func TestConversation(t *testing.T) {
	path, address := program.Build(t), group(t)
	alice := join(t, path, "-name", "alice", "-group", address)
	bob := join(t, path, "-name", "bob", "-group", address)
	carol := join(t, path, "-name", "bob", "-group", address) // another of this name

	for _, test := range []struct {
		from *person
		line string
		want string
	}{
		{alice, "hello", "alice: hello"},
		{bob, "grüß dich", "bob: grüß dich"},
		{alice, "\x1b[31mred", "alice: �[31mred"},
		{carol, strings.Repeat("é", maxText), "bob: " + strings.Repeat("é", maxText/2) + "…"},
	} {
		test.from.says(test.line)
		for _, other := range []*person{alice, bob, carol} {
			if other == test.from {
				continue // nobody hears himself, which would show as the next line
			}
			if got := other.hears(); got != test.want {
				t.Errorf("heard %q, want %q", got, test.want)
			}
		}
	}

	// The last line before the end of the input is sent, and a signal ends a conversation.
	alice.says("bye")
	alice.stdin.Close()
	if err := alice.cmd.Wait(); err != nil {
		t.Errorf("at the end of the input: %v", err)
	}
	if got := bob.hears(); got != "alice: bye" {
		t.Errorf("heard %q", got)
	}
	if err := bob.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(bob.lines); err != nil || len(rest) > 0 {
		t.Errorf("after SIGTERM: %q, %v", rest, err)
	}
	if err := bob.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestHear(t *testing.T) {
	me := newSpeaker("me")
	for _, payload := range []string{"", "junk", "{}", `{"ID":"x","Text":"nameless"}`, "[1]", string(me.say("an echo"))} {
		if text, ok := me.hear([]byte(payload)); ok {
			t.Errorf("%q: heard %q", payload, text)
		}
	}
}
