package systemtest_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/load"
	"example.com/datagram/internal/testing/program"
)

// A group of sockets is handed over three times, from process to process, under load. Not one request is
// lost, and none is answered twice.
func TestHandOverUnderLoad(t *testing.T) {
	const successions, clients, size = 3, 32, 2
	between := uint64(20_000) // answers
	if testing.Short() {
		between = 1_000
	}
	g, err := datagram.ListenGroup(t.Context(), "udp4", "127.0.0.1:0", size)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	served := make(chan error, 1)
	go func() { served <- g.Serve(background, answer) }()

	requests := load.Start(t, g.LocalAddr(), clients)
	requests.AwaitAnswers(between)

	// The first server is this process.
	files, err := g.Files()
	if err != nil {
		t.Fatal(err)
	}
	server := startSuccessor(t, files)
	requests.AwaitAnswers(between)
	if err := errors.Join(g.DrainRecv(background), await.Value(t, "Serve", served), g.Shutdown(background)); err != nil {
		t.Fatal(err)
	}
	answered := g.Stats().Sent
	for range successions - 1 {
		requests.AwaitAnswers(between)
		successor := startSuccessor(t, files)
		answered += endServer(t, server)
		server = successor
	}
	requests.AwaitAnswers(between)
	asked := requests.End()
	if answered += endServer(t, server); answered != asked {
		t.Errorf("%d answers to %d requests", answered, asked)
	}
	requests.CheckQuiet()
	for _, f := range files {
		f.Close()
	}
}

func answer(c *datagram.Conn, d datagram.Datagram) {
	runtime.Gosched()
	if err := c.Send(background, d.Reply(d.Payload)); err != nil {
		panic(err)
	}
	d.Release()
}

// successor is how many sockets a successor gets.
var successor = flag.Int("successor", 0, "serve a group of this many inherited sockets; for the tests themselves")

// startSuccessor starts a server on the sockets of a group, and waits until it receives.
func startSuccessor(t *testing.T, files []*os.File) *program.Process {
	t.Helper()
	p := program.StartWithFiles(t, files, os.Args[0], "-test.run=^TestSuccessor$", "-successor="+strconv.Itoa(len(files)))
	p.After("receiving")
	return p
}

// endServer makes a server end, and returns how many answers it has sent.
func endServer(t *testing.T, p *program.Process) uint64 {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	answered, err := strconv.ParseUint(p.After("answered "), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if rest, code := p.Wait(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, rest)
	}
	return answered
}

// TestSuccessor is the server of the other processes.
func TestSuccessor(t *testing.T) {
	if *successor == 0 {
		return
	}
	var files []*os.File
	for i := range *successor {
		files = append(files, os.NewFile(uintptr(3+i), "inherited"))
	}
	g, err := datagram.OpenGroup(files)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	served := make(chan error, 1)
	go func() { served <- g.Serve(background, answer) }()
	for _, c := range g.Conns() {
		await.Until(t, "Serve", c.Active)
	}
	fmt.Println("receiving")
	<-stop
	if err := errors.Join(g.DrainRecv(background), await.Value(t, "Serve", served), g.Shutdown(background)); err != nil {
		t.Fatal(err)
	}
	fmt.Println("answered", g.Stats().Sent)
}
