package sockettest

import "golang.org/x/sys/windows"

// Errors with other numbers on Windows.
const (
	messageSize = windows.WSAEMSGSIZE
	refused     = windows.WSAECONNRESET
	unreachable = windows.WSAENETUNREACH
)
