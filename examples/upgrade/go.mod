module example.com/datagram/examples/upgrade

go 1.26.0

replace example.com/datagram => ../..

require (
	example.com/datagram v0.1.0
	github.com/cloudflare/tableflip v1.2.3
	github.com/coreos/go-systemd/v22 v22.7.0
)

require (
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
