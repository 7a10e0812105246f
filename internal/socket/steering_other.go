//go:build !linux

package socket

import "errors"

// steer is what only Linux can.
func (k *kernelSocket) steer(int) error { return errors.ErrUnsupported }
