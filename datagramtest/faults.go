package datagramtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// An Op is an operation that a handle requests from the system.
type Op uint8

// The operations.
const (
	OpListen     Op = iota // create and bind a socket, or open that of a file: socket(2), bind(2)
	OpConnect              // connect or disconnect: connect(2)
	OpSend                 // send one datagram or several: sendmsg(2), sendmmsg(2)
	OpReceive              // receive: recvmsg(2), recvmmsg(2)
	OpSetOption            // set an option of an open socket: setsockopt(2)
	OpOption               // read an option: getsockopt(2)
	OpMembership           // join or leave a group: setsockopt(2)
	ops                    // number of operations
)

var opNames = [ops]string{
	OpListen: "listen", OpConnect: "connect", OpSend: "send", OpReceive: "receive",
	OpSetOption: "set option", OpOption: "get option", OpMembership: "membership",
}

// String returns the operation in lower case.
func (o Op) String() string {
	if o < ops {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// A Fault is an error, a delay or a short count for some of the calls for an
// operation.
type Fault struct {
	Op Op // OpListen by default
	// After is the number of calls that pass first, counted from
	// [Faults.Inject]. The send queue decides how many datagrams each call for
	// OpSend moves. With [datagram.OffloadNone] it is one.
	After int
	// Times is the number of calls that the fault strikes. They are
	// consecutive, unless Probability leaves some out. 0 means once, or without
	// end if Probability is set.
	Times int
	// Probability is the probability that each of the calls is struck. 0 means
	// certainty.
	Probability float64

	// Delay is how long the call takes before it fails or proceeds. Close ends
	// the delay, and StopRecv that of a receive. Do not delay OpSetOption or
	// OpOption in bubbles of testing/synctest: the handle is locked meanwhile,
	// as it is during the system call.
	Delay time.Duration
	// Short, if not 0, limits a send to that many datagrams; the send then
	// fails with Err, if any. It limits a receive to that many bytes of each
	// datagram, which arrives truncated unless the system has coalesced it with
	// others.
	Short int
	// Err is the error of the call, usually a [syscall.Errno]. Sockets handle
	// EINTR and EAGAIN themselves, and so do these faults: after EINTR the call
	// is repeated, a millisecond later, as are a receive and a queued send
	// after EAGAIN. A send that may not wait returns EAGAIN.
	Err error
}

func (f *Fault) check() {
	checkProbability("Fault.Probability", f.Probability)
	if f.Op >= ops || f.After < 0 || f.Times < 0 || f.Delay < 0 || f.Short < 0 {
		panic(fmt.Sprintf("datagramtest: Fault with a field out of range: %+v", *f))
	}
}

// Faults injects faults into all handles that have its [Faults.Option], and
// counts their calls together. Multiple goroutines may call its methods
// simultaneously.
type Faults struct {
	seed uint64

	mu       sync.Mutex
	calls    [ops]uint64
	struck   [ops]uint64
	script   []*scripted
	injected uint64 // total number of faults
}

// scripted is a fault and what is left of it.
type scripted struct {
	Fault
	number uint64 // among all faults
	from   uint64 // first call that it may strike
	left   int    // calls, or negative without end
}

// NewFaults returns Faults with a script. Random choices depend on seed, the
// fault's position in the script and the number of calls for its operation so
// far. NewFaults panics if a field of a fault is out of range.
func NewFaults(seed uint64, script ...Fault) *Faults {
	f := &Faults{seed: seed}
	f.Inject(script...)
	return f
}

// Inject appends faults to the script. If several apply to a call, the first
// one strikes. Inject panics if a field is out of range.
func (f *Faults) Inject(script ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range script {
		fault.check()
		s := &scripted{Fault: fault, number: f.injected, from: f.calls[fault.Op] + uint64(fault.After), left: fault.Times}
		f.injected++
		if s.left == 0 {
			s.left = 1
			if s.Probability > 0 {
				s.left = -1
			}
		}
		f.script = append(f.script, s)
	}
}

// Clear discards the rest of the script.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = nil
}

// Calls returns the number of calls for an operation, and how many of them were
// struck.
func (f *Faults) Calls(op Op) (calls, struck uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op], f.struck[op]
}

// Option returns an option that injects the faults into a handle, on the
// system's network or on that of [Network.Option] or [Host.Option]. If a handle
// has several Faults, those given last strike first.
func (f *Faults) Option() datagram.Option {
	wrap := func(beneath socket.Network) socket.Network { return faultyNetwork{beneath, f} }
	return hook.WrapNetwork(wrap).(datagram.Option)
}

// strike counts a call, and returns the fault that strikes it, if any.
func (f *Faults) strike(op Op) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := f.calls[op]
	f.calls[op]++
	for _, s := range f.script {
		if s.Op != op || call < s.from || s.left == 0 || s.Probability > 0 && f.chance(s.number, call) >= s.Probability {
			continue
		}
		if s.left > 0 {
			s.left--
		}
		f.struck[op]++
		return s.Fault
	}
	return Fault{}
}

// chance returns a number from 0 to 1 for a fault and a call.
func (f *Faults) chance(fault, call uint64) float64 {
	return rand.New(rand.NewPCG(mix(mix(f.seed)+fault), mix(call))).Float64()
}
