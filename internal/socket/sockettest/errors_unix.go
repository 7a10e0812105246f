//go:build unix

package sockettest

import "syscall"

// What systems call the same.
const (
	messageSize = syscall.EMSGSIZE
	refused     = syscall.ECONNREFUSED
	unreachable = syscall.ENETUNREACH
)
