// Package mark is what a child process of the bench and its parent say to each other.
//
// A child prints one Ready line when it can be measured. For every line "mark" on its standard
// input it prints a Mark; for "stop", or when the input ends, it stops its traffic, prints a
// last Mark and exits. All lines are JSON. The C programs in bench/c speak the same.
package mark

// Ready says that a child's traffic runs, or that its socket listens.
type Ready struct {
	Addr string `json:"addr,omitempty"` // where it receives, for children that others send to

	// What the idle sockets of a child cost, in bytes.
	RSS  int64 `json:"rss,omitempty"`  // resident memory of the process
	Slab int64 `json:"slab,omitempty"` // kernel objects, of the whole machine meanwhile
}

// Mark is a child's state at one instant. Two marks make a measurement: their difference.
type Mark struct {
	NS       int64  `json:"ns"`            // the child's monotonic clock
	CPU      int64  `json:"cpu"`           // ns of user and system time of the process, by getrusage
	Sent     uint64 `json:"sent"`          // datagrams handed over to be sent
	Received uint64 `json:"received"`      // datagrams that arrived, or replies at a client
	SentSum  uint64 `json:"sent_sum"`      // sum of the numbers in the datagrams sent
	RecvSum  uint64 `json:"recv_sum"`      // the same for those that arrived
	Bad      uint64 `json:"bad"`           // arrived with a wrong length
	Resent   uint64 `json:"resent"`        // requests sent again after a time-out
	Allocs   uint64 `json:"allocs"`        // heap objects allocated (Go children)
	RSS      int64  `json:"rss"`           // resident bytes
	Hist     Pairs  `json:"hist,omitzero"` // latencies, in the last mark only
}

// Pairs are the occupied buckets of a Histogram: upper bound in ns, and count.
type Pairs [][2]uint64
