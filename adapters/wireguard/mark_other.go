//go:build !linux && !freebsd && !openbsd

package wireguard

// SetMark implements [conn.Bind]. The system has no marks.
func (*Bind) SetMark(uint32) error { return nil }
