//go:build unix

package socket

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// closeRights closes descriptors that came unasked: they would stay open for
// ever (unix(7), SCM_RIGHTS).
func closeRights(data []byte) {
	for ; len(data) >= 4; data = data[4:] {
		_ = closeDescriptor(int(int32(binary.NativeEndian.Uint32(data))))
	}
}

// closeDescriptor is a variable so that hostile control messages can be tested.
var closeDescriptor = unix.Close
