// Package datagram provides handles to datagram sockets, above all UDP sockets.
// A handle delivers received datagrams on a channel and sends through a bounded
// queue. The package is modelled on the UDP handle of libuv, uv_udp_t.
//
// [Listen] returns a [Conn] bound to a local address, and [Dial] one connected
// to a peer. [Open] takes over a descriptor that the program was given. [New]
// returns a Conn without a socket; [Conn.Bind] or the first use creates it. A
// server is a loop:
//
//	conn, err := datagram.Listen(ctx, "udp", ":7777")
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	for d := range conn.Recv() {
//		if err := conn.Send(context.Background(), d.Reply(d.Payload)); err != nil {
//			log.Print(err) // go on: strangers choose the address that this answers
//		}
//		d.Release()
//	}
//	return conn.Err() // why the loop has ended
//
// Multiple goroutines may call methods on a Conn simultaneously.
//
// # Receiving
//
// [Conn.Recv] returns the channel of received datagrams; the first call starts
// receiving. The channel is closed when receiving ends, and [Conn.Err] returns
// the reason. [Conn.StopRecv] stops receiving without losing datagrams; the
// next Recv resumes on a new channel. [Conn.Serve] instead calls a function for
// each datagram, on the calling goroutine, without a channel in between.
//
// Received payloads are lent. The payload of a [Datagram] is valid until
// [Datagram.Release], which makes its memory available to later datagrams.
// Release is optional: a datagram that is never released stays valid until it
// becomes garbage. Several datagrams may share one piece of memory, and each of
// them keeps all of it alive; to keep a datagram for long, use
// [Datagram.Clone]. Copies of a Datagram value share its payload, and releasing
// one of them releases all.
//
// # Groups and restarts
//
// [ListenGroup] returns several handles that share a port, so that a server can
// use several processors, and [Group.Serve] receives on all of them. A server
// can be replaced without losing a request: a successor receives on the same
// sockets (see [OpenGroup]). The predecessor calls [Conn.DrainRecv], which
// takes no more from the system and delivers what was taken, and then
// [Conn.Shutdown].
//
// # Sending
//
// [Conn.Send] copies a datagram into the queue and returns. If the queue is
// full, it waits for room until its context ends. There are four ways to send:
//
//   - [Conn.Send] suits most programs. It keeps the order of datagrams to one
//     destination, and one system call moves many of them. [Conn.SendBatch]
//     queues several datagrams together.
//   - [Conn.SendFunc] also calls a function with the outcome for this datagram.
//     [Conn.SendBuffers] gathers one datagram from several pieces.
//   - [Conn.TryQueue] is like Send but never waits: if there is no room, it
//     returns [ErrQueueFull]. It suits programs that would rather drop a
//     datagram than stop.
//   - [Conn.TrySend] bypasses the queue and makes the system call before it
//     returns. It has the lowest latency and costs a system call for each
//     datagram. It returns [ErrWouldBlock] rather than wait or overtake queued
//     datagrams. [Conn.TrySendBatch] does the same for several datagrams.
//
// The system answers for each datagram: it accepts or refuses it. What it
// accepts counts as sent; UDP promises nothing about the arrival. If it refuses
// a datagram, the error goes to its completion function or, if it has none, to
// the function set by [WithErrorHandler]. Without either, the error is only
// counted, in [Stats].SendErrors.
//
// # Libraries
//
// [Conn.PacketConn] returns a handle as a [net.PacketConn] and [net.Conn], for
// libraries that take one. They gain batches, offloads and answers from the
// address that was asked, unchanged. [Conn.UDPConn] adds the methods of
// [net.UDPConn] with control messages, for libraries that mark, segment or
// address datagrams themselves, such as quic-go. Reading through either takes
// the place of Recv; writing goes through the send queue. Give such handles a
// larger receive buffer: batches outrun the default of most systems.
//
// # Back pressure and drops
//
// Nothing between the program and the system grows without limit, except
// pending completion functions: see [Conn.SendFunc]. The send queue is limited
// by [WithSendQueue]. When it is full, Send waits and TryQueue fails; neither
// drops a datagram that was accepted. Once the system has answered for a
// datagram, its payload takes no more memory, even if a function of the program
// has yet to be called. Errors wait for the error handler in a bounded list;
// when that is full, further ones are only counted.
//
// The channel of Recv is limited by [WithRecvQueue], which also sets what
// happens if the reader is too slow:
//
//   - [Block], the default, leaves datagrams in the socket's receive buffer.
//     When that is full too, the system drops the newest: [Stats].KernelDrops.
//     [WithReadBuffer] requests a size for it, and [Conn.ReadBuffer] returns
//     the size that was granted.
//   - [DropNewest] and [DropOldest] drop datagrams before that:
//     [Stats].PolicyDrops.
//
// [WithMaxAge] drops datagrams that have waited too long: [Stats].StaleDrops.
// [Conn.Close] drops datagrams that no reader can get any more:
// [Stats].CloseDrops. Those that it finds in the socket's receive buffer are
// lost uncounted. A datagram longer than [WithMaxDatagramSize] is not dropped
// but truncated, and marked [Datagram].Partial. [Conn.Stats] returns all
// counts, and every snapshot adds up.
//
// # Closing
//
// A program that ends by itself first stops receiving. After [Conn.StopRecv] the
// channel is closed, Err returns nil, and Serve returns nil; if the context of
// Serve ends, it returns the context's error. After Close, Err and Serve return
// [net.ErrClosed]. The examples GracefulStop and GracefulStopOfLoop end cleanly on
// a signal.
//
// [Conn.Shutdown] sends what is queued and then closes the handle; its context
// limits how long that takes. [Conn.Close] closes at once: queued datagrams
// complete with [net.ErrClosed], and those in the channel stay readable. Close
// may be called from anywhere and does not wait for the program's own
// functions. [Conn.Done] returns a channel that is closed when none of these
// functions and no goroutine of the handle is running any more. After Close,
// methods return [net.ErrClosed].
//
// # Errors
//
// Errors are [*net.OpError] values. Use [errors.Is] to compare them with the
// system's errno, [net.ErrClosed] or [errors.ErrUnsupported]. [ErrQueueFull],
// [ErrWouldBlock] and the errors of contexts are returned unwrapped.
//
// # Batches and offloads
//
// Where the system can, a handle receives and sends several datagrams in one
// system call. It lets the system split one buffer into a run of datagrams to
// one destination (GSO), and receives runs of datagrams of one sender that the
// system has coalesced (GRO). All of this is invisible: the program sees single
// datagrams, and those to one destination keep their order. Nothing waits for a
// batch to fill.
//
// [Conn.Capabilities] reports what is in use and why the rest is not.
// [Stats].SendCalls and ReceiveCalls show how many system calls were needed.
// [WithOffload] and [Conn.SetSegmentation] turn offloads off. So does the
// environment variable DATAGRAM_OFFLOAD, read when a handle is created, with
// the values none, batch, nogso and nogro; any other value is an error.
//
// # Defaults and units
//
// Options change these defaults. Sizes are in bytes, and those of datagrams and
// queues count payload only.
//
//	option                   default              range
//	WithRecvQueue            16 datagrams, Block  1 to 1,048,576
//	WithSendQueue            1,024 datagrams      1 or more
//	                         4 MiB                1 byte or more
//	WithMaxDatagramSize      65,535 bytes         1 byte to 1 GiB
//	WithMaxAge               no limit             more than 0
//	WithErrorHandler         none                 1,024 errors wait for it
//	WithOffload              OffloadAll
//	WithMetadata             MetaLocal where Reply needs it
//	WithNetworkErrors        off
//	WithDontFragment         the system's
//	WithTTL                  the system's         1 to 255
//	WithTrafficClass         0                    0 to 255
//	WithMulticastTTL         1                    1 to 255
//	WithMulticastLoopback    on
//	WithMulticastInterface   the system's choice
//	WithBroadcast            off
//	WithIPv6Only             off
//	WithReuseAddr            off; on for group addresses
//	WithReusePort            off; on for groups
//	WithSteering             SteerFlow
//	WithInterface            any
//	WithReadBuffer           the system's         0 to 2,147,483,647 bytes
//	WithWriteBuffer          the system's         0 to 2,147,483,647 bytes
//
// # Systems
//
// On Linux everything above holds. On macOS, FreeBSD, NetBSD, OpenBSD and
// Windows each system call moves one datagram. Other differences are documented
// with the methods and options they concern. A request that the system cannot
// fulfil fails with an error that matches [errors.ErrUnsupported]; defaults that
// it cannot honour show in Capabilities. On macOS, FreeBSD and NetBSD, most
// settings of a handle on "udp" and a wildcard fail so; use "udp4" or "udp6".
//
// # From libuv
//
// Each function of libuv, what replaces it, and the example that shows it:
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
