package pion_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v4"

	"example.com/datagram/adapters/pion"
	"example.com/datagram/datagramtest"
)

// Two ICE agents connect over a simulated network that loses every tenth datagram. On the system's
// network, NewNet returns the Net.
func ExampleNewHostNet() {
	network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: 5 * time.Millisecond})
	defer network.Close()
	caller, callee := newAgent(network, "10.0.0.1"), newAgent(network, "10.0.0.2")
	defer caller.Close()
	defer callee.Close()
	fmt.Println("connected to", connect(caller, callee).RemoteAddr().(*net.UDPAddr).IP)
	// Output: connected to 10.0.0.2
}

// connect lets two agents find each other, and returns the caller's connection.
func connect(caller, callee *ice.Agent) *ice.Conn {
	gather(caller, callee)
	gather(callee, caller)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		ufrag, pwd := credentials(caller)
		if _, err := callee.Accept(ctx, ufrag, pwd); err != nil {
			log.Fatal(err)
		}
	}()
	ufrag, pwd := credentials(callee)
	conn, err := caller.Dial(ctx, ufrag, pwd)
	if err != nil {
		log.Fatal(err)
	}
	<-connected
	return conn
}

func newAgent(network *datagramtest.Network, addr string, options ...ice.AgentOption) *ice.Agent {
	host, err := network.AddHost(netip.MustParseAddr(addr))
	if err != nil {
		log.Fatal(err)
	}
	n, err := pion.NewHostNet(host)
	if err != nil {
		log.Fatal(err)
	}
	agent, err := ice.NewAgentWithOptions(append(options, ice.WithNet(n),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled))...)
	if err != nil {
		log.Fatal(err)
	}
	return agent
}

// gather passes the candidates of one agent to the other.
func gather(from, to *ice.Agent) {
	done := make(chan struct{})
	err := from.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(done)
		} else if err := to.AddRemoteCandidate(c); err != nil {
			log.Fatal(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := from.GatherCandidates(); err != nil {
		log.Fatal(err)
	}
	<-done
}

func credentials(a *ice.Agent) (ufrag, pwd string) {
	ufrag, pwd, err := a.GetLocalUserCredentials()
	if err != nil {
		log.Fatal(err)
	}
	return ufrag, pwd
}
