package pion

import (
	dtlsnet "github.com/pion/dtls/v3/pkg/net"

	"example.com/datagram"
	"example.com/datagram/session"
)

// ListenDTLS returns the sessions of handles in the form that
// [dtls.NewListenerWithOptions] takes. As with Pion's own listener, only the
// beginning of a handshake opens a session; of those, config.Admit can choose.
// Closing the listener or its sessions does not close the handles.
func ListenDTLS(config session.Config, conns ...*datagram.Conn) (dtlsnet.PacketListener, error) {
	admit := config.Admit
	config.Admit = func(d datagram.Datagram) bool {
		return isHandshake(d.Payload) && (admit == nil || admit(d))
	}
	listener, err := session.Listen(config, conns...)
	if err != nil {
		return nil, err
	}
	return dtlsnet.PacketListenerFromListener(listener), nil
}

// isHandshake reports whether a datagram begins with a record of type handshake and version DTLS 1.x
// (RFC 6347 section 4.1).
func isHandshake(b []byte) bool {
	const header = 13
	return len(b) >= header && b[0] == 22 && b[1] == 254
}
