//go:build !linux && !darwin

package socket

import "errors"

func (k *kernelSocket) bindToDevice(string) error { return errors.ErrUnsupported }
