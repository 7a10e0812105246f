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

// An Op is something that a handle asks the system for.
type Op uint8

// The operations.
const (
	OpListen     Op = iota // make and bind a socket: socket(2), bind(2); or open that of a file
	OpConnect              // connect or disconnect: connect(2)
	OpSend                 // send one datagram or several: sendmsg(2), sendmmsg(2)
	OpReceive              // receive: recvmsg(2), recvmmsg(2)
	OpSetOption            // set an option of an open socket: setsockopt(2)
	OpOption               // read an option: getsockopt(2)
	OpMembership           // join or leave a group: setsockopt(2)
	ops                    // how many there are
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

// A Fault is what goes wrong with some of the calls for an operation.
type Fault struct {
	Op Op // OpListen if it is not set
	// After is how many calls pass first, counted from [Faults.Inject]. How many datagrams a call of OpSend moves
	// is up to the send queue. With [datagram.OffloadNone] it is one.
	After int
	// Times is how many calls the fault strikes, one after the other unless Probability
	// leaves some out. 0 is once, or without end if there is a Probability.
	Times int
	// Probability is that of each of the calls to be struck, 0 to be struck for certain.
	Probability float64

	// Delay is how long the call takes before it fails or goes on. Close ends it, and
	// StopRecv that of a receive. Delays of OpSetOption and OpOption are not for bubbles of
	// testing/synctest: the handle is locked meanwhile, as it is while the system works.
	Delay time.Duration
	// Short, if not 0, limits a send to so many datagrams, after which it fails
	// with Err, if any, and a receive to so many bytes of each datagram, which
	// arrives truncated, unless the system has coalesced it with others.
	Short int
	// Err is the error of the call, usually a [syscall.Errno]. What no socket
	// lets through acts as it does there: after EINTR the call is made again, a
	// millisecond later, as after EAGAIN that of a receive or a queued send,
	// while a send that may not wait is told.
	Err error
}

func (f *Fault) check() {
	checkProbability("Fault.Probability", f.Probability)
	if f.Op >= ops || f.After < 0 || f.Times < 0 || f.Delay < 0 || f.Short < 0 {
		panic(fmt.Sprintf("datagramtest: Fault with a field out of range: %+v", *f))
	}
}

// Faults injects faults into the handles that have its [Faults.Option]. Their
// calls are counted together. All methods may be called from many goroutines at
// once.
type Faults struct {
	seed uint64

	mu       sync.Mutex
	calls    [ops]uint64
	struck   [ops]uint64
	script   []*scripted
	injected uint64 // faults ever
}

// scripted is a fault with what is left of it.
type scripted struct {
	Fault
	number uint64 // among all faults
	from   uint64 // the first call that it may strike
	left   int    // calls, less than 0 without end
}

// NewFaults returns Faults with a script. What is left to chance depends on
// seed, the fault's place in the script and how many calls there were for its
// operation. It panics if a field of a fault is out of range.
func NewFaults(seed uint64, script ...Fault) *Faults {
	f := &Faults{seed: seed}
	f.Inject(script...)
	return f
}

// Inject adds faults to the script. Of several for a call the first strikes.
// It panics if a field is out of range.
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

// Clear removes what is left of the script.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = nil
}

// Calls returns how many calls there were for an operation, and how many of
// them were struck.
func (f *Faults) Calls(op Op) (calls, struck uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op], f.struck[op]
}

// Option returns an option that injects the faults into a handle, on the
// system's network or on that of [Network.Option] or [Host.Option]. Of several
// Faults for a handle those given last strike first.
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
