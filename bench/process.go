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
	"time"

	"example.com/datagram/bench/internal/mark"
)

// answer is how long a child may take to say something. Opening 10,000 sockets takes a while.
const answer = 30 * time.Second

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
	lines  *bufio.Scanner
	stderr bytes.Buffer
	ready  mark.Ready
}

// start runs argv until it says that it is ready. A child ends when its input does, so none
// outlives the bench.
func start(ctx context.Context, argv []string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe() // not StdoutPipe: reads need a deadline
	if err != nil {
		return nil, err
	}
	p.out, p.cmd.Stdout = r, w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	p.lines = bufio.NewScanner(r)
	p.lines.Buffer(nil, 1<<20) // a histogram is one long line
	if err := p.read(&p.ready); err != nil {
		p.kill()
		return nil, p.explain(err)
	}
	return p, nil
}

// mark asks for the child's totals.
func (p *process) mark() (mark.Mark, error) {
	var m mark.Mark
	if _, err := io.WriteString(p.in, "mark\n"); err != nil {
		return m, p.explain(err)
	}
	err := p.read(&m)
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
	p.kill()
	return m, p.explain(err)
}

// kill ends the child without asking; after stop it only cleans up.
func (p *process) kill() {
	p.in.Close()
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	p.out.Close()
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

// explain adds what the child wrote to its standard error.
func (p *process) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && p.cmd.ProcessState == nil {
		_ = p.cmd.Wait() // it has ended: let its last words arrive
	}
	said := strings.TrimSpace(p.stderr.String())
	if said == "" {
		return err
	}
	first, _, _ := strings.Cut(said, "\n")
	return fmt.Errorf("%w: %s", err, first)
}
