package report

// libraryGoals are those of libraries, against the same library over its own sockets.
var libraryGoals = []goal{
	{what: "quic-go, one stream, UDPConn, against net.UDPConn: KiB/s", workload: "quic1", metric: Rate, peer: "datagram-udpconn", against: Baseline, target: 1.15, stretch: 1.4},
	{what: "quic-go, one stream, UDPConn, against net.UDPConn: CPU", workload: "quic1", metric: CPU, peer: "datagram-udpconn", against: Baseline, target: 0.8, stretch: 0.65, atMost: true},
	{what: "quic-go, 200 streams, UDPConn, against net.UDPConn: KiB/s", workload: "quic200", metric: Rate, peer: "datagram-udpconn", against: Baseline, target: 1.15},
	{what: "quic-go, 200 streams, UDPConn, against net.UDPConn: CPU", workload: "quic200", metric: CPU, peer: "datagram-udpconn", against: Baseline, target: 0.8, atMost: true},
	{what: "miekg/dns, 20 clients, PacketConn, against net.UDPConn: queries/s", workload: "dns", metric: Rate, peer: "datagram-packetconn", against: Baseline, target: 1.25, stretch: 1.5},
	{what: "miekg/dns, 20 clients, PacketConn, against net.UDPConn: CPU a query", workload: "dns", metric: CPU, peer: "datagram-packetconn", against: Baseline, target: 0.75, stretch: 0.6, atMost: true},
	{what: "kcp-go, PacketConn, against net.UDPConn: KiB/s", workload: "kcp", metric: Rate, peer: "datagram-packetconn", against: Baseline, target: 1.05},
	{what: "kcp-go, PacketConn, against net.UDPConn: CPU", workload: "kcp", metric: CPU, peer: "datagram-packetconn", against: Baseline, target: 0.75, atMost: true},
	{what: "wireguard-go, 1200 B, our Bind, against its own", workload: "flow1200", metric: Rate, peer: "datagram-bind", against: "wireguard", target: 1.1},
	{what: "ping-pong p50, PacketConn, against net.UDPConn", workload: "pingpong", metric: P50, peer: "datagram-packetconn", against: Baseline, target: 1.05, stretch: 1, atMost: true},
	{what: "1200 B, one flow, PacketConn, against net.UDPConn", workload: "flow1200", metric: Rate, peer: "datagram-packetconn", against: Baseline, target: 10, stretch: 14},
}
