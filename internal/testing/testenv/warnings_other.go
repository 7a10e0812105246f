//go:build !linux

package testenv

// Warnings returns warnings about what may make tests fail.
func Warnings() []string { return nil }
