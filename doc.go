// Package datagram provides handles to datagram sockets, above all those of
// UDP. Datagrams arrive on a channel and leave through a bounded queue. It is
// the UDP handle of libuv, uv_udp_t, as a Go package.
//
// [Listen] returns a [Conn] bound to a local address, [Dial] one connected to a
// peer, [Open] one for a descriptor that the program was given. [New] returns
// one without a socket, which [Conn.Bind] or the first use makes. A server is a
// loop:
//
//	conn, err := datagram.Listen(ctx, "udp", ":7")
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	for d := range conn.Recv() {
//		if err := conn.Send(ctx, d.Reply(d.Payload)); err != nil {
//			return err
//		}
//		d.Release()
//	}
//	return conn.Err()
//
// All methods may be called from many goroutines at once.
//
// # Receiving
//
// [Conn.Recv] returns the channel of received datagrams, and starts receiving
// the first time. The channel is closed when receiving ends, and [Conn.Err]
// tells why. [Conn.StopRecv] ends it without losing anything: the next Recv
// goes on with a new channel. [Conn.Serve] calls a function for each datagram
// instead, on the calling goroutine, which saves the way through the channel.
//
// Received payloads are lent. The payload of a [Datagram] is valid until
// [Datagram.Release], which lets later datagrams use the memory. Release is
// optional: a datagram that is never released stays valid, and in the end
// becomes garbage. Several datagrams may share one piece of memory, all of which
// is kept while one of them is; [Datagram.Clone] makes a copy to keep for long.
// Copies of a Datagram value share its payload, and releasing one of them
// releases all.
//
// # Sending
//
// [Conn.Send] copies a datagram into the queue and returns; when the queue is
// full it waits for room until its context ends. There are four ways to send:
//
//   - [Conn.Send] is for most programs. It keeps the order of datagrams to one
//     destination, and the system is asked once for many of them.
//   - [Conn.SendFunc] also calls a function with the system's answer to this
//     datagram. [Conn.SendBuffers] gathers one datagram from several pieces.
//   - [Conn.TryQueue] is Send without the waiting: [ErrQueueFull] when there is
//     no room. It is for those who would rather drop a datagram than stop.
//   - [Conn.TrySend] passes the queue by: it asks the system before it returns,
//     which has the lowest latency and costs a system call for each datagram.
//     It fails with [ErrWouldBlock] rather than wait or overtake the queue.
//     [Conn.TrySendBatch] does that for several datagrams.
//
// That a datagram was sent means that the system took it. UDP promises nothing
// about its arrival. What the system refuses is counted in [Stats].SendErrors
// and told to the completion function, or to the function of [WithErrorHandler]
// if there is none.
//
// # Back pressure, and where datagrams are dropped
//
// Nothing between the program and the system grows without bound. The send
// queue is bounded by [WithSendQueue]; Send waits, TryQueue refuses, and
// neither drops what was accepted. The channel of Recv is bounded by
// [WithRecvQueue], which also says what happens when the reader is too slow:
//
//   - [Block], the default, leaves datagrams in the socket's receive buffer.
//     When that is full too the system drops the newest: [Stats].KernelDrops.
//     Its size is asked for with [WithReadBuffer], and [Conn.ReadBuffer] tells
//     what was granted.
//   - [DropNewest] and [DropOldest] drop before that: [Stats].PolicyDrops.
//
// [WithMaxAge] drops what has waited for too long: [Stats].StaleDrops.
// [Conn.Close] drops what no reader can get any more: [Stats].CloseDrops; what
// it finds in the socket's receive buffer is lost uncounted. A datagram longer
// than [WithMaxDatagramSize] is not dropped but cut, and marked
// [Datagram].Partial. [Conn.Stats] counts them all, and every snapshot of it
// adds up.
//
// # Closing
//
// [Conn.Shutdown] sends what is queued and then closes; its context limits how
// long that takes. [Conn.Close] closes at once: what is queued is completed
// with [net.ErrClosed], and what waits in the channel stays readable. Close may
// be called from anywhere and does not wait for the program's own functions.
// [Conn.Done] is closed when none of them runs any more, nor any goroutine of
// the handle. After Close methods fail with [net.ErrClosed].
//
// # Errors
//
// Errors are [*net.OpError]. Use [errors.Is] to compare what they wrap with the
// system's errno, [net.ErrClosed] or [errors.ErrUnsupported]. [ErrQueueFull],
// [ErrWouldBlock] and the errors of contexts come as they are.
//
// # Batches and offloads
//
// Where the system can, a handle receives and sends several datagrams in one
// system call, lets the system cut a run of datagrams to one destination from
// one buffer (GSO), and takes what the system has coalesced of one sender's
// (GRO). None of it shows: the program sees single datagrams, and those to one
// destination keep their order. Nothing waits for a batch to fill.
// [Conn.Capabilities] tells what is in use and why the rest is not,
// [Stats].SendCalls and ReceiveCalls what it saves. [WithOffload] and
// [Conn.SetSegmentation] turn it off, and so does the environment variable
// DATAGRAM_OFFLOAD with the values none, batch, nogso and nogro, when a handle
// is made; another value is an error.
//
// # Systems
//
// On Linux everything above holds. On macOS, FreeBSD, NetBSD, OpenBSD and
// Windows each system call moves one datagram. macOS and BSD have most settings
// of a dual-stack handle, one for "udp" and a wildcard, for IPv6 alone: there
// use "udp4" or "udp6". What else differs is said where it does. What a system
// cannot do is an error that matches [errors.ErrUnsupported], if the program
// asked for it; defaults that it cannot honour show in Capabilities.
//
// # From libuv
//
// Each function of libuv with what stands for it here, and the example that
// shows it:
//
//   - uv_udp_init, uv_udp_init_ex: [New]; [Listen] and [Conn.Bind] with "udp4"
//     or "udp6". Example: New.
//   - uv_loop_t, uv_ref, uv_unref: there is no loop. The goroutines of a Conn
//     belong to it, and [Conn.Done] tells when they have ended. Example:
//     Conn.Done.
//   - uv_handle_get_data, uv_handle_set_data: [Conn.Data], [Conn.SetData],
//     [WithData]. The handle's type is its Go type. Example: Conn.Data.
//   - uv_udp_get_send_queue_size, uv_udp_get_send_queue_count:
//     [Conn.SendQueueSize], [Conn.SendQueueCount]. Examples: WithSendQueue, Conn.Flush.
//   - uv_udp_open: [Open]. Example: Open.
//   - uv_udp_bind: [Conn.Bind], [Listen]. UV_UDP_IPV6ONLY, UV_UDP_REUSEADDR and
//     UV_UDP_REUSEPORT: [WithIPv6Only], [WithReuseAddr], [WithReusePort].
//     Example: Conn.Bind.
//   - uv_udp_connect: [Conn.Connect], [Conn.Disconnect], [Dial]. Examples:
//     Conn.Connect, Dial.
//   - uv_udp_getsockname, uv_udp_getpeername: [Conn.LocalAddr],
//     [Conn.RemoteAddr]. Example: Dial.
//   - uv_udp_set_membership: [Conn.JoinGroup], [Conn.LeaveGroup], with
//     [InterfaceByAddr] for interfaces named by an address. Example:
//     Conn.JoinGroup.
//   - uv_udp_set_source_membership: [Conn.JoinSourceGroup],
//     [Conn.LeaveSourceGroup]. Example: Conn.JoinSourceGroup.
//   - uv_udp_set_multicast_loop, uv_udp_set_multicast_ttl,
//     uv_udp_set_multicast_interface: [Conn.SetMulticastLoopback],
//     [Conn.SetMulticastTTL], [Conn.SetMulticastInterface], and options of the
//     same names. Example: Conn.SetMulticastTTL.
//   - uv_udp_set_broadcast, uv_udp_set_ttl: [Conn.SetBroadcast], [Conn.SetTTL],
//     [WithBroadcast], [WithTTL]. Examples: Conn.SetBroadcast, Conn.SetTTL.
//   - uv_udp_send, uv_udp_send_cb: [Conn.Send], [Conn.SendFunc],
//     [Conn.SendBuffers]. Examples: Conn.SendFunc, Conn.SendBuffers.
//   - uv_udp_try_send, uv_udp_try_send2: [Conn.TrySend], [Conn.TrySendBuffers],
//     [Conn.TrySendBatch]. Examples: Conn.TrySend, Conn.TrySendBatch.
//   - uv_udp_recv_start, uv_udp_recv_stop, uv_udp_recv_cb: [Conn.Recv] or
//     [Conn.Serve], [Conn.StopRecv], [Conn.Err]. Examples: Conn.Serve,
//     Conn.StopRecv, Conn.Err.
//   - UV_UDP_PARTIAL: [Datagram].Partial. Example: WithMaxDatagramSize.
//   - UV_UDP_RECVMMSG, uv_udp_using_recvmmsg: automatic, see
//     [Conn.Capabilities]. UV_UDP_MMSG_CHUNK, UV_UDP_MMSG_FREE:
//     [Datagram.Release]. Examples: WithOffload, Datagram.Clone.
//   - UV_UDP_LINUX_RECVERR: [WithNetworkErrors]. Example: NetworkError.
//   - uv_close, uv_is_closing: [Conn.Close], [Conn.Shutdown], [Conn.Done].
//     uv_is_active: [Conn.Active]. Examples: Conn.Shutdown, Conn.Done.
//   - uv_fileno: [Conn.SyscallConn], [Conn.File]. Example: Conn.SyscallConn.
//   - uv_send_buffer_size, uv_recv_buffer_size: [Conn.SetWriteBuffer],
//     [Conn.WriteBuffer], [Conn.SetReadBuffer], [Conn.ReadBuffer]. Example:
//     Conn.SetReadBuffer.
package datagram
