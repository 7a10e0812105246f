// Package session gives each peer of a server its own [net.Conn]. A [Listener]
// receives from one or more handles of package datagram, tells the peers apart,
// and opens a session for each new one. A server is written as for TCP:
//
//	listener, err := session.Listen(session.Config{}, handle)
//	if err != nil {
//		return err
//	}
//	for {
//		conn, err := listener.Accept()
//		if err != nil {
//			return err
//		}
//		go serve(conn) // Read returns one datagram, Write sends one
//	}
//
// # Sessions
//
// A peer is a remote address, with port and zone, together with the local
// address that it sends to. Each peer has one session at a time, and its
// datagrams come to that in order. The first datagram opens the session and is
// the first to be read. What the session writes leaves from the address that
// the peer knows, through the queue of the handle that received the first
// datagram.
//
// UDP has no end of a connection. A session ends when the program closes it, or
// when for Config.IdleTimeout no datagram has gone either way: a program whose
// protocol knows when a peer has left should call [Conn.Close]. The peer's next
// datagram then opens a new session. A session also ends with its handle.
// [Conn.Err] tells why a session has ended.
//
// There are three ways to read, each with bounds on what waits for a slow
// reader: [Conn.Read] copies a datagram, [Conn.Receive] lends it with its
// metadata, and [Conn.Recv] is a channel. A session whose reader is slow loses
// its own newest datagrams and delays no other session. Programs that never
// wait are faster with Config.Handle, which needs no goroutine for a session.
//
// # Life cycle of a listener
//
// [Listen] takes over receiving from its handles. [Listener.Close] ends
// accepting and the sessions that wait for Accept, but not the accepted ones;
// [Listener.Shutdown] waits for these. When the last session has ended,
// receiving is given back: Recv and Serve work on the handles again. The
// listener never closes a handle. After Shutdown call [datagram.Conn.Shutdown]
// for each, which sends what the sessions have written; [datagram.Conn.Close]
// drops it.
//
// If a handle's receiving is stopped by [datagram.Conn.StopRecv], what has been
// received can still be accepted, read and answered.
//
// # Strangers
//
// Anybody can send from any number of forged addresses. [Config] bounds the
// sessions, those that wait for Accept, and the datagrams of each; what is
// beyond is dropped and counted in [Stats]. Forged peers can use up these
// bounds and so keep out new peers, though not those that have a session.
// Config.Admit prevents that: it opens sessions only for peers that have proved
// their address.
//
// # Cost
//
// A listener runs one goroutine for each handle and one timer. A session takes
// about half a KiB, and its unread datagrams their own size, rounded up. It has
// no goroutine, and a timer only while a deadline is set.
package session
