package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"example.com/datagram"
)

// checkAddress returns an error if an address lacks a port or has an impossible one.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return usageError{err}
	}
	if n, err := strconv.Atoi(port); err == nil && (n < 0 || n > 65535) || port == "" {
		return usageError{fmt.Errorf("%s: port %q is not in 0…65535", address, port)}
	}
	return nil
}

// listen opens a handle on HOST:PORT, :PORT or PORT.
func listen(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	if _, err := strconv.Atoi(address); err == nil {
		address = ":" + address
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	conn, err := datagram.Listen(ctx, network, address, opts...)
	if err != nil {
		return nil, explain(ctx, address, err)
	}
	enlarge(conn)
	return conn, nil
}

// wantedBuffer is the receive buffer to ask for, in bytes: as much as comes in 33 milliseconds at a gigabit
// per second.
const wantedBuffer = 4 << 20

// enlarge asks for a large receive buffer. Less will do.
func enlarge(conn *datagram.Conn) { _ = conn.SetReadBuffer(wantedBuffer) }

// dial opens a handle that is connected to an address.
func dial(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	conn, err := datagram.Dial(ctx, network, address, opts...)
	return conn, explain(ctx, address, err)
}

// resolve looks up an address.
func resolve(ctx context.Context, network, address string) (netip.AddrPort, error) {
	if err := checkAddress(address); err != nil {
		return netip.AddrPort{}, err
	}
	addr, err := datagram.Resolve(ctx, network, address)
	return addr, explain(ctx, address, err)
}

// explain says which address was being looked up when a context ended.
func explain(ctx context.Context, address string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("looking up %s: %w", address, context.Cause(ctx))
	}
	return err
}

// interfaceByName is net.InterfaceByName with the name in the error.
func interfaceByName(name string) (*net.Interface, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return ifi, nil
}
