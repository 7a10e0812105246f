// Package soak uses datagram in many ways at once for as long as asked, and checks that nothing is missing
// afterwards: every handle's ledger agrees with what its users counted, what was sent was received or
// dropped where somebody counts it, and memory, goroutines and descriptors are what they were.
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

// roundTime is how long a round lasts. Between rounds nothing is open, and what is held is compared.
const roundTime = 10 * time.Second

// patience is how long to wait for what must happen.
const patience = 30 * time.Second

// A soak is a run in progress.
type soak struct {
	lab *netlab.Lab // nil where there is none

	mu    sync.Mutex
	books Books
	err   error
}

// Run soaks for a duration, or until something is wrong, which it returns. The seed makes the
// choices; what goroutines make of them differs from run to run.
func Run(ctx context.Context, duration time.Duration, seed uint64, out io.Writer) (err error) {
	s := new(soak)
	var noLab error
	if s.lab, noLab = netlab.New(); noLab != nil {
		fmt.Fprintln(out, "no interface goes down:", noLab)
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

// round runs everything side by side for a while.
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
