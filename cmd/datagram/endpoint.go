package main

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"example.com/datagram"
)

type opener func(context.Context) (endpoint, error)

// An endpoint sends and receives one datagram at a time.
type endpoint interface {
	address() netip.AddrPort
	send(to netip.AddrPort, payload []byte) error
	// receive calls handle until the endpoint is closed.
	receive(handle func(from netip.AddrPort, payload []byte))
	close() error
}

// standardEndpoint uses package net.
type standardEndpoint struct{ conn *net.UDPConn }

func openStandard(context.Context) (endpoint, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(wantedBuffer) // less will do
	return standardEndpoint{conn}, nil
}

func (e standardEndpoint) address() netip.AddrPort {
	return e.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (e standardEndpoint) send(to netip.AddrPort, payload []byte) error {
	_, err := e.conn.WriteToUDPAddrPort(payload, to)
	return err
}

func (e standardEndpoint) receive(handle func(netip.AddrPort, []byte)) {
	buffer := make([]byte, 65535)
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			handle(from, buffer[:n])
		}
	}
}

func (e standardEndpoint) close() error { return e.conn.Close() }

// datagramEndpoint uses package datagram.
type datagramEndpoint struct{ conn *datagram.Conn }

// openDatagram returns a function that opens endpoints with an offload.
func openDatagram(o datagram.Offload) opener {
	return func(ctx context.Context) (endpoint, error) {
		conn, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0", datagram.WithOffload(o))
		if err != nil {
			return nil, err
		}
		enlarge(conn)
		return datagramEndpoint{conn}, nil
	}
}

func (e datagramEndpoint) address() netip.AddrPort { return e.conn.LocalAddr() }

func (e datagramEndpoint) send(to netip.AddrPort, payload []byte) error {
	return e.conn.Send(context.Background(), datagram.To(to, payload))
}

func (e datagramEndpoint) receive(handle func(netip.AddrPort, []byte)) {
	_ = e.conn.Serve(context.Background(), func(d datagram.Datagram) {
		handle(d.Addr, d.Payload)
		d.Release()
	})
}

func (e datagramEndpoint) close() error { return e.conn.Close() }
