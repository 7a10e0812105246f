package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"example.com/datagram"
)

// group runs a handle that joins and leaves a multicast group. It must receive what is sent to the
// group while it is a member, and otherwise not.
func group(r *rand.Rand) (b Books, err error) {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		return b, err
	}
	group := netip.AddrFrom4([4]byte{239, 255, byte(r.Uint32()), byte(r.Uint32())}) // RFC 2365: the local scope
	member, err := in("", func() (*datagram.Conn, error) {
		return datagram.Listen(context.Background(), "udp4", ":0", quietly)
	})
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, member.audit(&b)) }()
	speaker, err := in("", func() (*datagram.Conn, error) {
		return datagram.Listen(context.Background(), "udp4", ":0", quietly, datagram.WithMulticastInterface(loopback))
	})
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, speaker.audit(&b)) }()

	port := member.LocalAddr().Port()
	toGroup := netip.AddrPortFrom(group, port)
	toMember := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	for range 1 + r.IntN(100) {
		if err := member.JoinGroup(group, loopback); err != nil {
			return b, err
		}
		if err := speaker.say(toGroup, 7); err != nil {
			return b, err
		}
		if err := member.hear(7); err != nil {
			return b, fmt.Errorf("as a member of %v: %w", group, err)
		}
		if err := member.LeaveGroup(group, loopback); err != nil {
			return b, err
		}
		if err := errors.Join(speaker.say(toGroup, 8), speaker.say(toMember, 9)); err != nil {
			return b, err
		}
		b.Unseen++
		if err := member.hear(9); err != nil {
			return b, fmt.Errorf("after leaving %v: %w", group, err)
		}
	}
	return b, nil
}

// say sends a datagram of the given size.
func (h *handle) say(to netip.AddrPort, size int) error {
	d := datagram.To(to, make([]byte, size))
	fill(d.Payload)
	if err := h.Send(context.Background(), d); err != nil {
		return err
	}
	h.accepted.Add(1)
	return h.Flush(context.Background())
}

// hear receives one datagram, which must have the given size.
func (h *handle) hear(size int) error {
	select {
	case d := <-h.Recv():
		h.got(d)
		if len(d.Payload) != size {
			return fmt.Errorf("received %d bytes, want %d", len(d.Payload), size)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("no datagram of %d bytes arrived", size)
	}
}
