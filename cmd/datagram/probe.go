package main

import "encoding/binary"

// A probe is a datagram of ping and bench: 24 bytes in network order, followed by anything.
//
//	0  magic number
//	4  kind
//	8  flow: a random number that all probes of one run have
//	16 number: of the probe, or how many probes of the flow a sink has received
type probe struct {
	kind         probeKind
	flow, number uint64
}

type probeKind uint32

const (
	probeEcho     probeKind = iota // comes back as it is
	probeSink                      // is counted
	probeQuestion                  // asks a sink how many came
	probeAnswer
)

const (
	probeSize  = 24
	probeMagic = 0x64676d31 // "dgm1"
)

// put writes a probe to the start of b, which has at least probeSize bytes.
func (p probe) put(b []byte) {
	binary.BigEndian.PutUint32(b, probeMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(p.kind))
	binary.BigEndian.PutUint64(b[8:], p.flow)
	binary.BigEndian.PutUint64(b[16:], p.number)
}

// parseProbe returns the probe in a payload, which may be anything.
func parseProbe(b []byte) (p probe, ok bool) {
	if len(b) < probeSize || binary.BigEndian.Uint32(b) != probeMagic {
		return probe{}, false
	}
	return probe{
		kind:   probeKind(binary.BigEndian.Uint32(b[4:])),
		flow:   binary.BigEndian.Uint64(b[8:]),
		number: binary.BigEndian.Uint64(b[16:]),
	}, true
}
