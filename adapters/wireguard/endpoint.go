package wireguard

import (
	"net/netip"
	"sync/atomic"

	"example.com/datagram"
	"golang.zx2c4.com/wireguard/conn"
)

// An endpoint is a peer's address, and the one to send from. wireguard-go may clear the source while
// it sends.
type endpoint struct {
	to      datagram.Datagram // without a payload
	cleared atomic.Bool       // the system chooses the source
}

var _ conn.Endpoint = (*endpoint)(nil)

// datagram returns an empty datagram to the peer.
func (e *endpoint) datagram() datagram.Datagram {
	if e.cleared.Load() {
		return datagram.To(e.to.Addr, nil)
	}
	return e.to
}

func (e *endpoint) ClearSrc()           { e.cleared.Store(true) }
func (e *endpoint) SrcIP() netip.Addr   { return e.datagram().Meta.Local }
func (e *endpoint) DstIP() netip.Addr   { return e.to.Addr.Addr() }
func (e *endpoint) DstToString() string { return e.to.Addr.String() }

func (e *endpoint) SrcToString() string {
	if src := e.SrcIP(); src.IsValid() {
		return src.String()
	}
	return ""
}

// DstToBytes returns what cookies are computed from.
func (e *endpoint) DstToBytes() []byte {
	b, _ := e.to.Addr.MarshalBinary() // always succeeds
	return b
}
