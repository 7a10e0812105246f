module example.com/datagram

go 1.26.0

require (
	golang.org/x/net v0.62.0
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
)

require go.uber.org/goleak v1.3.0
