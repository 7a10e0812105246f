// Package mark is the protocol between a child process of the bench and its parent.
//
// A child prints one Ready line when it can be measured. For every line "mark" on its standard
// input it prints a Mark; for "stop", or when the input ends, it stops its traffic, prints a last
// Mark and exits. All lines are JSON. The C programs in bench/c use the same protocol.
package mark

// Ready reports that a child's traffic is running, or that its socket is listening.
type Ready struct {
	Addr string `json:"addr,omitempty"` // receiving address, for children that others send to

	// The cost of a child's idle sockets in bytes.
	RSS  int64 `json:"rss,omitempty"`  // resident memory of the process
	Slab int64 `json:"slab,omitempty"` // kernel objects, of the whole machine
}

// Mark is a child's state at one instant. The difference of two marks is a measurement.
type Mark struct {
	NS       int64  `json:"ns"`            // the child's monotonic clock
	CPU      int64  `json:"cpu"`           // ns of user and system time of the process, by getrusage
	Sent     uint64 `json:"sent"`          // datagrams submitted
	Received uint64 `json:"received"`      // datagrams that arrived, or replies at a client
	SentSum  uint64 `json:"sent_sum"`      // sum of the numbers in the datagrams sent
	RecvSum  uint64 `json:"recv_sum"`      // the same for those that arrived
	Bad      uint64 `json:"bad"`           // arrived with a wrong length
	Resent   uint64 `json:"resent"`        // requests sent again after a time-out
	Allocs   uint64 `json:"allocs"`        // heap objects allocated (Go children)
	Switches int64  `json:"switches"`      // context switches of the process, wanted and forced, by getrusage
	Calls    uint64 `json:"-"`             // system calls of the process, which the parent counts
	RSS      int64  `json:"rss"`           // resident bytes
	GCStop   int64  `json:"gc_stop"`       // ns of the garbage collector's longest stop, in the last mark only
	Hist     Pairs  `json:"hist,omitzero"` // latencies, in the last mark only
}

// Pairs are the occupied buckets of a Histogram: upper bound in ns, and count.
type Pairs [][2]uint64
