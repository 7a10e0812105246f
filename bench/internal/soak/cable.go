package soak

import (
	"math/rand/v2"
	"time"

	"example.com/datagram/bench/internal/netlab"
)

// cable runs an exchange through interfaces that go down and up meanwhile.
func cable(lab *netlab.Lab, r *rand.Rand) (Books, error) {
	x := exchange{
		network: "udp4", address: netlab.RecvAddr + ":0", sendNS: lab.SendNS, recvNS: lab.RecvNS, lossy: true,
		disturb: func() error {
			for range r.IntN(4) {
				time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
				if err := lab.Unplug(time.Duration(r.IntN(20)) * time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		},
	}
	return x.run(r)
}
