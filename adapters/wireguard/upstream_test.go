package wireguard_test

import (
	"testing"

	"example.com/datagram/internal/testing/upstream"
)

// TestUpstreamDevice runs the tests of wireguard-go's device over Binds of this package. Those that
// use a fake bind do so too.
func TestUpstreamDevice(t *testing.T) {
	const file, bindtest = "device/device_test.go", `"golang.zx2c4.com/wireguard/conn/bindtest"`
	upstream.Test(t, "golang.zx2c4.com/wireguard", []upstream.Edit{
		{File: file, Old: bindtest, New: `datagram "example.com/datagram/adapters/wireguard"`},
		{File: file, Old: "conn.NewDefaultBind(), conn.NewDefaultBind()", New: "datagram.NewBind(), datagram.NewBind()"},
		{File: file, Old: "bindtest.NewChannelBinds()", New: "[2]conn.Bind{datagram.NewBind(), datagram.NewBind()}"},
	}, "golang.zx2c4.com/wireguard/device")
}
