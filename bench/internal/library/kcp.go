package library

import (
	"io"
	"sync"

	"github.com/xtaci/kcp-go/v5"

	"example.com/datagram/bench/internal/child"
)

// kcpTraffic sends over one session, without encryption and error correction.
func kcpTraffic(a *child.Args, counts *child.Counts, listen Listen) (Half, error) {
	serverConn, clientConn, err := pair(listen)
	if err != nil {
		return Half{}, err
	}
	listener, err := kcp.ServeConn(nil, 0, 0, serverConn)
	if err != nil {
		return Half{}, err
	}
	out, err := kcp.NewConn(serverConn.LocalAddr().String(), nil, 0, 0, clientConn)
	if err != nil {
		return Half{}, err
	}
	tune(out)
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for data := make([]byte, a.Size); ; {
			if _, err := out.Write(data); err != nil {
				return // closed
			}
		}
	})
	in, err := listener.AcceptKCP()
	if err != nil {
		return Half{}, err
	}
	tune(in)
	traffic.Go(func() { _, _ = io.Copy(&counter{counts: counts}, in) })
	return Half{Close: func() {
		_ = out.Close()
		_ = in.Close()
		_ = listener.Close()
		traffic.Wait()
		_ = clientConn.Close()
		_ = serverConn.Close()
	}}, nil
}

// tune makes a session fast, as kcp-go's documentation recommends.
func tune(s *kcp.UDPSession) {
	s.SetNoDelay(1, 10, 2, 1)
	s.SetWindowSize(1024, 1024)
}
