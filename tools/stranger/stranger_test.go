// Package stranger_test uses a release as somebody does who has read only README: from an empty folder and an empty module
// cache, by way of a module proxy that is a directory. It releases the last commit, as CONTRIBUTING.md describes it.
package stranger_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const root = "example.com/datagram"

// version is the one that the nested modules require.
var version string

// nested are the directories of the other modules that are released.
var nested = []string{
	"cmd/datagram", "adapters/quic", "adapters/wireguard", "adapters/pion", "adapters/memberlist", "exporters/prometheus", "exporters/otel",
}

// A shell runs commands in a directory, with an environment of its own.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

func (s shell) run(name string, args ...string) string {
	s.t.Helper()
	start := time.Now()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	s.t.Logf("%5.1f s  %s %s", time.Since(start).Seconds(), filepath.Base(name), strings.Join(args, " "))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func (s shell) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

// release puts the modules of the last commit into a proxy, and returns the environment of somebody who uses it. For what else
// they need, the proxies are this machine's module cache and then its own.
func release(t *testing.T) (env []string) {
	t.Helper()
	proxy, tree, cache := t.TempDir(), t.TempDir(), t.TempDir()
	here := shell{t: t, dir: "../.."}
	version = strings.TrimSpace(here.run("go", "list", "-C", "cmd/datagram", "-m", "-f", "{{.Version}}", root))
	usual := strings.Fields(here.run("go", "env", "GOMODCACHE", "GOPROXY"))
	env = []string{
		"GOPROXY=file://" + proxy + ",file://" + usual[0] + "/cache/download," + usual[1],
		"GOSUMDB=off", "GOWORK=off", "GOFLAGS=-modcacherw", "GOMODCACHE=" + cache,
	}
	here.run("git", "archive", "-o", filepath.Join(proxy, "tree.tar"), "HEAD")
	shell{t: t, dir: tree}.run("tar", "-xf", filepath.Join(proxy, "tree.tar"))
	publish(t, proxy, root, tree)
	for _, dir := range nested {
		directory := shell{t: t, dir: filepath.Join(tree, dir), env: env}
		if dir == "cmd/datagram" {
			directory.run("go", "mod", "edit", "-dropreplace="+root)
			directory.run("go", "mod", "tidy")
		}
		publish(t, proxy, root+"/"+dir, directory.dir)
	}
	return env
}

// publish puts a module into a proxy: https://go.dev/ref/mod#goproxy-protocol.
func publish(t *testing.T, proxy, path, dir string) {
	t.Helper()
	files := shell{t: t, dir: filepath.Join(proxy, path, "@v")}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	files.write("list", version+"\n")
	files.write(version+".info", `{"Version": "`+version+`"}`)
	files.write(version+".mod", string(mod))
	archive, err := os.Create(filepath.Join(files.dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if err := zip.CreateFromDir(archive, module.Version{Path: path, Version: version}, dir); err != nil {
		t.Fatal(err)
	}
}

// readme returns the block of Go code in README that begins with a line.
func readme(t *testing.T, first string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(text), "```go\n"+first)
	if !ok {
		t.Fatalf("README has no code that begins with %s", first)
	}
	code, _, _ = strings.Cut(code, "```")
	return first + code
}

const program = `package main

import (
	"context"
	"log"
%s
	"example.com/datagram"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
%s}
`

const firstTest = `package main

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
%s
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for d := range server.Recv() {
				_ = server.Send(ctx, d.Reply(d.Payload))
				d.Release()
			}
		}()
		for answered := false; !answered; { // datagrams are lost
			if err := client.Send(ctx, datagram.Datagram{Payload: []byte("hello")}); err != nil {
				t.Fatal(err)
			}
			select {
			case d := <-client.Recv():
				answered = string(d.Payload) == "hello"
			case <-time.After(time.Second):
			}
		}
		server.Close()
		client.Close()
		network.Close()
	})
}
`

func TestStranger(t *testing.T) {
	hello := shell{t: t, dir: t.TempDir(), env: release(t)}
	bin := t.TempDir()
	hello.env = append(hello.env, "GOBIN="+bin)
	t.Log("a stranger begins")
	hello.run("go", "mod", "init", "hello")
	hello.run("go", "get", root)

	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().String()
	free.Close()
	server := strings.ReplaceAll(readme(t, "conn, err := datagram.Listen("), ":7777", address)
	client := strings.ReplaceAll(readme(t, "conn, err := datagram.Dial("), "server.example:7777", address)
	hello.write("server/main.go", fmt.Sprintf(program, "", server))
	hello.write("client/main.go", fmt.Sprintf(program, "\t\"fmt\"\n\t\"os\"\n\t\"time\"\n", client+"\treturn nil\n"))
	hello.write("server/main_test.go", fmt.Sprintf(firstTest, readme(t, "network := datagramtest.NewNetwork(")))
	hello.run("go", "build", "-o", bin+string(filepath.Separator), "./...")
	ask(t, bin)
	hello.run("go", "test", "./...")

	hello.run("go", "install", root+"/cmd/datagram@"+version)
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "datagram"), "doctor").CombinedOutput()
	if code := new(exec.ExitError); err != nil && (!errors.As(err, &code) || code.ExitCode() != 3) { // 3: it found something
		t.Errorf("datagram doctor: %v\n%s", err, out)
	}
	if v := hello.run(filepath.Join(bin, "datagram"), "--version"); !strings.Contains(v, version) {
		t.Errorf("datagram --version: %s", v)
	}
	for _, dir := range nested[1:] {
		hello.run("go", "get", root+"/"+dir)
	}
}

// ask runs the server, and the client until it is answered: the server may not listen yet.
func ask(t *testing.T, bin string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := exec.CommandContext(ctx, filepath.Join(bin, "server"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	for {
		out, err := exec.CommandContext(ctx, filepath.Join(bin, "client")).CombinedOutput()
		if err == nil && string(out) == "hello\n" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("no answer: %v\n%s", err, out)
		}
	}
}
