// Package soak uses datagram in many ways at once for as long as requested, and then checks that
// nothing is missing: every handle's ledger agrees with its users' counts, what was sent was
// received or counted as dropped, and memory, goroutines and descriptors are back to their initial
// levels.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"example.com/datagram/bench/internal/netlab"
)

// roundTime is the duration of a round. Between rounds nothing is open, and resources are compared.
const roundTime = 10 * time.Second

// patience limits the wait for things that must happen.
const patience = 30 * time.Second

// A soak is a run in progress.
type soak struct {
	lab *netlab.Lab // may be nil

	mu    sync.Mutex
	books Books
	err   error
}

// Run soaks for a duration, or until it finds something wrong, which it returns. The seed
// determines the choices; what goroutines make of them differs from run to run.
func Run(ctx context.Context, duration time.Duration, seed uint64, out io.Writer) (err error) {
	s := new(soak)
	var noLab error
	if s.lab, noLab = netlab.New(); noLab != nil {
		fmt.Fprintln(out, "soaking without interfaces that go down:", noLab)
	} else {
		defer func() { err = errors.Join(err, s.lab.Close()) }()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	var first usage
	start := time.Now()
	before := measure()
	for round := 1; ctx.Err() == nil && (round == 1 || time.Since(start) < duration); round++ {
		s.round(ctx, min(roundTime, duration-time.Since(start)), random)
		now, leak := settle(before)
		elapsed := time.Since(start)
		fmt.Fprintf(out, "%8v  round %d: %d handles, %d datagrams, %.2f M/s; %v\n", elapsed.Round(time.Second), round,
			s.books.Handles, s.books.Sent, float64(s.books.Sent)/elapsed.Seconds()/1e6, now)
		if round == 1 {
			first = now
		}
		if err := errors.Join(s.err, leak, now.growth(first)); err != nil {
			return fmt.Errorf("round %d of seed %d: %w", round, seed, err)
		}
	}
	fmt.Fprintf(out, "\n%v\n", s.books)
	return s.books.check()
}

// round runs everything concurrently for a while.
func (s *soak) round(ctx context.Context, length time.Duration, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var all sync.WaitGroup
	repeat := func(life func(*rand.Rand) (Books, error)) {
		r := rand.New(rand.NewPCG(random.Uint64(), 0))
		all.Go(func() {
			for ctx.Err() == nil {
				books, err := life(r)
				s.mu.Lock()
				s.books.add(books)
				s.err = errors.Join(s.err, err)
				s.mu.Unlock()
				if err != nil {
					cancel()
				}
			}
		})
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		repeat(flow)
	}
	repeat(group)
	if s.lab != nil {
		repeat(func(r *rand.Rand) (Books, error) { return cable(s.lab, r) })
	}
	all.Wait()
}
