package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"example.com/datagram"
	"example.com/datagram/bench/internal/child"
	"example.com/datagram/internal/testing/softnet"
)

// An exchange is traffic from a few handles to one. Each of them may be closed at any time.
type exchange struct {
	network, address string
	sendNS, recvNS   string       // network namespaces, "" for that of the process
	lossy            bool         // datagrams may be lost in transit
	disturb          func() error // what happens meanwhile
}

// flow runs an exchange on the loopback interface.
func flow(r *rand.Rand) (Books, error) {
	x := exchange{network: "udp4", address: "127.0.0.1:0"}
	if r.IntN(2) == 0 {
		x = exchange{network: "udp6", address: "[::1]:0"}
	}
	return x.run(r)
}

func (x *exchange) run(r *rand.Rand) (b Books, err error) {
	offload := datagram.OffloadAll
	options := []datagram.Option{quietly}
	if r.IntN(2) == 0 { // not the defaults
		offload = datagram.Offload(r.IntN(3))
		options = append(options, datagram.WithOffload(offload), datagram.WithReadBuffer(8<<10<<(5*r.IntN(3))),
			datagram.WithRecvQueue(1+r.IntN(64), datagram.Overflow(r.IntN(3))))
	}
	receiver, err := in(x.recvNS, func() (*datagram.Conn, error) {
		return datagram.Listen(context.Background(), x.network, x.address, options...)
	})
	if err != nil {
		return b, err
	}
	lost := softnet.Watch()
	hurry := make(chan struct{})
	reading := fork(r)
	receiver.users.Go(func() { receiver.read(reading, hurry) })
	ends := r.IntN(4) == 0
	if ends {
		receiver.endLater(fork(r))
	}

	type outcome struct {
		Books
		segments bool
		error
	}
	outcomes := make([]outcome, 1+r.IntN(4))
	var senders sync.WaitGroup
	for i := range outcomes {
		o, r := &outcomes[i], fork(r)
		senders.Go(func() { o.segments, o.error = x.sendTo(receiver, r, &o.Books) })
	}
	if x.disturb != nil {
		err = x.disturb()
	}
	senders.Wait()
	close(hurry)
	segments := false
	for _, o := range outcomes {
		b.add(o.Books)
		err = errors.Join(err, o.error)
		segments = segments || o.segments && offload == datagram.OffloadAll
	}
	isExact := func(s datagram.Stats) bool {
		// For segmented messages, KernelDrops is a lower bound.
		return !x.lossy && !ends && (!segments || s.KernelDrops == 0) && !lost()
	}
	if !ends && err == nil {
		receiver.drain(b.Sent, isExact)
	}
	sent := b.Sent
	if err := errors.Join(err, receiver.audit(&b)); err != nil {
		return b, err
	}
	got := receiver.Stats()
	seen, exact := got.Received+got.KernelDrops, isExact(got)
	if seen > sent || exact && seen < sent {
		return b, fmt.Errorf("the books do not add up: sent %d to a receiver whose ledger says\n%v", sent, got)
	}
	if b.Unseen = sent - seen; exact {
		b.Exact = sent
	}
	return b, nil
}

// quietly ignores errors that the ledger counts.
var quietly = datagram.WithErrorHandler(func(error) {})

// in opens a handle in a network namespace.
func in(namespace string, open func() (*datagram.Conn, error)) (*handle, error) {
	h := new(handle)
	err := child.In(namespace, func() (err error) {
		h.Conn, err = open()
		return err
	})
	return h, err
}

// fork returns a source of random choices for another goroutine.
func fork(r *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) }

// sendTo runs a sender. It returns whether the sender let the kernel segment.
func (x *exchange) sendTo(receiver *handle, r *rand.Rand, b *Books) (segments bool, err error) {
	to := receiver.LocalAddr()
	if !to.IsValid() {
		return false, nil // closed already
	}
	offload := datagram.OffloadAll
	options := []datagram.Option{quietly}
	if r.IntN(2) == 0 { // not the defaults
		offload = datagram.Offload(r.IntN(3))
		options = append(options, datagram.WithOffload(offload), datagram.WithSendQueue(1+r.IntN(2048), 1<<(10+r.IntN(12))))
	}
	connected := r.IntN(2) == 0
	h, err := in(x.sendNS, func() (*datagram.Conn, error) {
		if connected {
			return datagram.Dial(context.Background(), "udp", to.String(), options...)
		}
		return datagram.Listen(context.Background(), x.network, ":0", options...)
	})
	if err != nil {
		if x.lossy && errors.Is(err, syscall.ENETUNREACH) {
			return false, nil // the interface is down
		}
		return false, err
	}
	d := datagram.To(to, nil)
	if connected {
		d.Addr = netip.AddrPort{}
	}
	if r.IntN(2) == 0 {
		h.endLater(fork(r))
	}
	err = h.send(r, d, 1+r.IntN(500_000), receiver.Done())
	h.end(r)
	return offload == datagram.OffloadAll, errors.Join(err, h.audit(b))
}

// endLater closes the handle at a random time, whatever it is doing.
func (h *handle) endLater(r *rand.Rand) {
	h.users.Go(func() {
		select {
		case <-time.After(time.Duration(r.IntN(500)) * time.Millisecond):
			h.end(r)
		case <-h.Done():
		}
	})
}

// drain waits until the receiver has received everything. If that cannot be told, it waits until no
// more seems to come.
func (h *handle) drain(sent uint64, isExact func(datagram.Stats) bool) {
	last, since := uint64(0), time.Now()
	for {
		s := h.Stats()
		seen := s.Received + s.KernelDrops
		if seen != last {
			last, since = seen, time.Now()
		}
		idle := time.Since(since)
		if seen >= sent || !isExact(s) && idle > 100*time.Millisecond || idle > patience {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
