package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// A rig is a receiver and senders on a simulated network.
type rig struct {
	t         *testing.T
	network   *datagramtest.Network
	directory string
	receiver  *datagram.Conn
	done      chan error
}

func newRig(t *testing.T, link datagramtest.Link) *rig {
	t.Helper()
	r := &rig{t: t, network: datagramtest.NewNetwork(1, link), directory: t.TempDir(), done: make(chan error, 1)}
	t.Cleanup(func() { r.network.Close() })
	var err error
	if r.receiver, err = r.network.Listen(t.Context(), "udp", "10.0.0.1:7780"); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(r.directory)
	if err != nil {
		t.Fatal(err)
	}
	packets := r.receiver.Recv()
	go func() {
		defer root.Close()
		r.done <- newReceiver(r.receiver, root, 10<<20, io.Discard, func(err error) { t.Error(err) }).run(packets)
	}()
	return r
}

// stop stops the receiver, and checks what is in its directory.
func (r *rig) stop(files map[string][]byte) {
	r.t.Helper()
	r.receiver.StopRecv()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	r.receiver.Close()
	entries, err := os.ReadDir(r.directory)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(entries) != len(files) {
		r.t.Errorf("%v in the directory, want %d files", entries, len(files))
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(r.directory, name)); err != nil || !bytes.Equal(got, want) {
			r.t.Errorf("%s: %d bytes, %v, want the %d that were sent", name, len(got), err, len(want))
		}
	}
}

// send sends content as a file with a name and returns the sender.
func (r *rig) send(ctx context.Context, name string, content []byte) (*sender, error) {
	r.t.Helper()
	hash := sha256.Sum256(content)
	return r.offer(ctx, offer{Name: name, Size: int64(len(content)), SHA256: hash[:]}, content)
}

func (r *rig) offer(ctx context.Context, o offer, content []byte) (*sender, error) {
	r.t.Helper()
	conn, err := r.network.Dial(ctx, "udp", "10.0.0.1:7780")
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	s := newSender(conn, o, bytes.NewReader(content))
	return s, s.run(ctx)
}

func random(n int) []byte {
	content := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(content)
	return content
}

// Files of all sizes arrive whole over networks of all kinds.
func TestNetworks(t *testing.T) {
	for name, link := range map[string]datagramtest.Link{
		"perfect":    {},
		"distant":    {Delay: 150 * time.Millisecond, Jitter: 20 * time.Millisecond},
		"lossy":      {Delay: 10 * time.Millisecond, Loss: 0.2},
		"very lossy": {Delay: 10 * time.Millisecond, Loss: 0.3},
		"reordering": {Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: 0.3},
		"repeating":  {Delay: 10 * time.Millisecond, Duplicate: 0.5},
		"corrupting": {Delay: 10 * time.Millisecond, Corrupt: 0.2},
		"narrow":     {Delay: 20 * time.Millisecond, Rate: 100_000, Queue: 20_000},
		"everything": {Delay: 30 * time.Millisecond, Jitter: 30 * time.Millisecond, Loss: 0.1, Reorder: 0.1, Duplicate: 0.1, Corrupt: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, link)
				files := make(map[string][]byte)
				for _, size := range []int{0, 1, payloadSize, payloadSize + 1, 100 * payloadSize, 300_000} {
					file := "file" + strings.Repeat("x", len(files))
					files[file] = random(size)
					if _, err := r.send(t.Context(), file, files[file]); err != nil {
						t.Errorf("%d bytes: %v", size, err)
					}
				}
				r.stop(files)
			})
		})
	}
}

// A transfer takes about as long as the network needs, and repeats little beyond what was lost.
func TestEfficiency(t *testing.T) {
	for _, test := range []struct {
		name     string
		link     datagramtest.Link
		limit    time.Duration
		repeated int
	}{
		// 500 packets are 4 round trips to open the window, and 7 windows.
		{"distant", datagramtest.Link{Delay: 50 * time.Millisecond}, 1500 * time.Millisecond, 0},
		// 610 kB at 100 kB/s.
		{"narrow", datagramtest.Link{Delay: 20 * time.Millisecond, Rate: 100_000, Queue: 30_000}, 9 * time.Second, 60},
		// One in 50 is lost. Each loss halves the window.
		{"lossy", datagramtest.Link{Delay: 20 * time.Millisecond, Loss: 0.02}, 1900 * time.Millisecond, 25},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, test.link)
			content := random(500 * payloadSize)
			start := time.Now()
			s, err := r.send(t.Context(), "file", content)
			if took := time.Since(start); err != nil || took > test.limit || s.repeated > test.repeated {
				t.Errorf("%s: %v after %v, want %v; %d packets again, want %d at most", test.name, err, took, test.limit, s.repeated, test.repeated)
			}
			r.stop(map[string][]byte{"file": content})
		})
	}
}

// A silent network ends a transfer; one that heals in time does not.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, datagramtest.Link{Delay: 10 * time.Millisecond})
		cut := func() (heal func()) {
			return r.network.Partition(netip.MustParsePrefix("10.0.0.1/32"), netip.Prefix{})
		}
		heal := cut()
		start := time.Now()
		if _, err := r.send(t.Context(), "never", random(10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("without answers: %v", err)
		}
		if took := time.Since(start); took < patience || took > patience+maximumTimeout {
			t.Errorf("without answers the sender gave up after %v", took)
		}
		heal()

		content := random(1_000_000)
		time.AfterFunc(100*time.Millisecond, func() {
			heal := cut()
			time.AfterFunc(patience/2, heal)
		})
		start = time.Now()
		if _, err := r.send(t.Context(), "interrupted", content); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < patience/2 {
			t.Errorf("the transfer took %v: it was not interrupted", took)
		}
		r.stop(map[string][]byte{"interrupted": content})
	})
}

// Several senders at a time do not mix.
func TestConcurrentSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, datagramtest.Link{Delay: 10 * time.Millisecond, Loss: 0.1})
		files := make(map[string][]byte)
		results := make(chan error)
		for _, name := range []string{"a", "b", "c", "d"} {
			content := append([]byte(name), random(200_000)...)
			files[name] = content
			go func() {
				_, err := r.send(t.Context(), name, content)
				results <- err
			}()
		}
		for range files {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		r.stop(files)
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, datagramtest.Link{})
		content := random(3000)
		if _, err := r.send(t.Context(), "taken", content); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name    string
			size    int64
			content []byte
			says    string
		}{
			{"taken", 10, random(10), "exists"},
			{"../escape", 10, random(10), "bad file name"},
			{"/etc/passwd", 10, random(10), "bad file name"},
			{"", 10, random(10), "bad file name"},
			{".", 10, random(10), "bad file name"},
			{"..", 10, random(10), "bad file name"},
			{"large", 10<<20 + 1, nil, "too large"},
			{"negative", -1, nil, "too large"},
			{"shorter", 3000, content[:2000], "changed"}, // than when it was hashed
		} {
			hash := sha256.Sum256(test.content)
			if test.name == "shorter" {
				hash = sha256.Sum256(content)
			}
			_, err := r.offer(t.Context(), offer{test.name, test.size, hash[:]}, test.content)
			if err == nil || !strings.Contains(err.Error(), "refused: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q: %v, want %q", test.name, err, test.says)
			}
		}
		r.stop(map[string][]byte{"taken": content})
	})
}

// A sender that stops leaves nothing behind, at once or after a while.
func TestAbandoned(t *testing.T) {
	for _, wait := range []time.Duration{0, 3 * idle} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, datagramtest.Link{Delay: 10 * time.Millisecond})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := r.send(ctx, "file", random(1_000_000)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the sender was not stopped: %v", err)
			}
			time.Sleep(wait)
			if wait > 0 {
				if entries, err := os.ReadDir(r.directory); err != nil || len(entries) > 0 {
					t.Errorf("after %v: %v, %v", wait, entries, err)
				}
			}
			r.stop(nil)
		})
	}
}

// What strangers send takes a limited number of files.
func TestTransfersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, datagramtest.Link{})
		conn, err := r.network.Dial(t.Context(), "udp", "10.0.0.1:7780")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for i := range uint64(maxTransfers + 1) {
			d := data{transfer: i, payload: []byte("not an offer")}
			if err := conn.Send(t.Context(), datagram.Datagram{Payload: d.encode()}); err != nil {
				t.Fatal(err)
			}
			a, ok := decodeAck((<-conn.Recv()).Payload)
			want := "not an offer"
			if i == maxTransfers {
				want = "too many transfers"
			}
			if !ok || a.transfer != i || a.problem != want {
				t.Fatalf("answer %d: %+v, want %q", i, a, want)
			}
		}
		r.stop(nil)
	})
}

func FuzzPackets(f *testing.F) {
	f.Add(data{1, 2, []byte("payload")}.encode())
	f.Add(ack{1, 2, 3, refused, "problem"}.encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		if d, ok := decodeData(p); ok && !bytes.Equal(d.encode(), p) {
			t.Errorf("% x decodes to %+v", p, d)
		}
		if a, ok := decodeAck(p); ok && !bytes.Equal(a.encode(), p) {
			t.Errorf("% x decodes to %+v", p, a)
		}
	})
}
