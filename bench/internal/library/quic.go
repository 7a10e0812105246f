package library

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"sync"

	"github.com/quic-go/quic-go"

	"example.com/datagram/bench/internal/child"
)

// quicTraffic keeps a.Count streams of a.Size bytes open on one connection, from a client to a server.
func quicTraffic(a *child.Args, counts *child.Counts, listen Listen) (Half, error) {
	serverConn, clientConn, err := pair(listen)
	if err != nil {
		return Half{}, err
	}
	serverTLS, clientTLS, err := configs()
	if err != nil {
		return Half{}, err
	}
	ctx := context.Background()
	server, client := &quic.Transport{Conn: serverConn}, &quic.Transport{Conn: clientConn}
	listener, err := server.Listen(serverTLS, &quic.Config{MaxIncomingUniStreams: int64(a.Count)})
	if err != nil {
		return Half{}, err
	}
	out, err := client.Dial(ctx, serverConn.LocalAddr(), clientTLS, nil)
	if err != nil {
		return Half{}, err
	}
	in, err := listener.Accept(ctx)
	if err != nil {
		return Half{}, err
	}
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for {
			stream, err := in.AcceptUniStream(ctx)
			if err != nil {
				return // closed
			}
			traffic.Go(func() { _, _ = io.Copy(&counter{counts: counts}, stream) })
		}
	})
	data := make([]byte, a.Size)
	for range a.Count {
		traffic.Go(func() {
			for {
				stream, err := out.OpenUniStreamSync(ctx)
				if err != nil {
					return // closed
				}
				_, _ = stream.Write(data)
				_ = stream.Close()
			}
		})
	}
	return Half{Close: func() {
		_ = out.CloseWithError(0, "")
		_ = client.Close()
		_ = server.Close()
		traffic.Wait()
		_ = clientConn.Close()
		_ = serverConn.Close()
	}}, nil
}

// configs returns the configurations of a server with a new certificate, and of a client that trusts any.
func configs() (server, client *tls.Config, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, nil, err
	}
	protocols := []string{"bench"}
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, NextProtos: protocols}
	return server, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}, nil
}
