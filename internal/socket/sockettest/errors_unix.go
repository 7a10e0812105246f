//go:build unix

package sockettest

import "syscall"

// Errors that Windows numbers otherwise.
const (
	messageSize = syscall.EMSGSIZE
	refused     = syscall.ECONNREFUSED
	unreachable = syscall.ENETUNREACH
)
