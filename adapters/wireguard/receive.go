package wireguard

import (
	"example.com/datagram"
	"golang.zx2c4.com/wireguard/conn"
)

// receiveFunc returns a function that receives from a handle.
func receiveFunc(c *datagram.PacketConn) conn.ReceiveFunc {
	return func(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		ds := batches.Get().(*batch)
		n, err := c.ReadDatagrams(ds[:len(packets)])
		for i := range ds[:n] {
			d := &ds[i]
			sizes[i] = copy(packets[i], d.Payload)
			d.Release()
			if i > 0 && sameReply(d, &ds[i-1]) {
				eps[i] = eps[i-1]
			} else {
				eps[i] = &endpoint{to: d.Reply(nil)}
			}
		}
		ds.free(n)
		return n, err
	}
}

// sameReply reports whether replies to two datagrams leave from and go to the same addresses.
// Datagrams mostly come in runs from one peer, which share an endpoint.
func sameReply(d, other *datagram.Datagram) bool {
	return d.Addr == other.Addr && d.Meta.Local == other.Meta.Local && d.Meta.IfIndex == other.Meta.IfIndex
}
