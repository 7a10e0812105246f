//go:build !linux

package wire

import "errors"

// KnowsMessages says that AppendMessages and ParseRequest know the system's layout.
const KnowsMessages = false

// WaitForOne is no flag.
const WaitForOne = 0

// AppendMessages appends nothing: only for Linux is known what programs expect.
func AppendMessages(b []byte, _ *Control, _, _ bool) ([]byte, bool) { return b, true }

// ParseRequest understands nothing.
func ParseRequest(b []byte) (c Control, segment int, err error) {
	if len(b) > 0 {
		err = errors.ErrUnsupported
	}
	return c, 0, err
}
