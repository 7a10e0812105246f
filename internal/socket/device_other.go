//go:build !linux && !darwin

package socket

import "errors"

func (h *handle) bindToDevice(string) error { return errors.ErrUnsupported }
