//go:build unix

package sockettest

import "syscall"

// Errors with other numbers on Windows.
const (
	messageSize = syscall.EMSGSIZE
	refused     = syscall.ECONNREFUSED
	unreachable = syscall.ENETUNREACH
)
