package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"example.com/datagram/bench/internal/calls"
	"example.com/datagram/bench/internal/mark"
)

// answer limits how long a child may take to respond. Opening 10,000 sockets takes a while.
const answer = 30 * time.Second

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
	lines  *bufio.Scanner
	stderr bytes.Buffer
	ready  mark.Ready
	calls  *calls.Counter // nil if system calls are not counted
}

// start runs argv and waits until it is ready. A child ends when its input does, so none outlives
// the bench. With count the child's marks have its system calls.
func start(ctx context.Context, argv []string, count bool) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe() // not StdoutPipe, since reads need a deadline
	if err != nil {
		return nil, err
	}
	p.out, p.cmd.Stdout = r, w
	if count {
		p.calls, err = calls.Start(p.cmd.Start)
	} else {
		err = p.cmd.Start()
	}
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	p.lines = bufio.NewScanner(r)
	p.lines.Buffer(nil, 1<<20) // a histogram is one long line
	if err := p.read(&p.ready); err != nil {
		err = p.explain(err)
		p.kill()
		return nil, err
	}
	return p, nil
}

// mark requests the child's totals.
func (p *process) mark() (mark.Mark, error) {
	var m mark.Mark
	if _, err := io.WriteString(p.in, "mark\n"); err != nil {
		return m, p.explain(err)
	}
	err := p.read(&m)
	if err == nil && p.calls != nil {
		m.Calls, err = p.calls.Read()
	}
	return m, p.explain(err)
}

// stop ends the child and returns its last totals.
func (p *process) stop() (mark.Mark, error) {
	var m mark.Mark
	_, err := io.WriteString(p.in, "stop\n")
	if err == nil {
		err = p.read(&m)
	}
	if err == nil {
		err = p.cmd.Wait()
	}
	err = p.explain(err)
	p.kill()
	return m, err
}

// kill ends the child at once. After stop it only cleans up.
func (p *process) kill() {
	p.in.Close()
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	p.out.Close()
	if p.calls != nil {
		p.calls.Close()
	}
}

func (p *process) read(v any) error {
	if err := p.out.SetReadDeadline(time.Now().Add(answer)); err != nil {
		return err
	}
	if !p.lines.Scan() {
		if err := p.lines.Err(); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(p.lines.Bytes(), v)
}

// explain adds the child's standard error to an error.
func (p *process) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && p.cmd.ProcessState == nil {
		_ = p.cmd.Wait() // it has ended; let the rest of its output arrive
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // a Go program says where it hangs
		_ = p.cmd.Wait()
		_, _ = os.Stderr.Write(p.stderr.Bytes())
	}
	said := strings.TrimSpace(p.stderr.String())
	if said == "" {
		return err
	}
	first, _, _ := strings.Cut(said, "\n")
	return fmt.Errorf("%w: %s", err, first)
}
