package sockettest

import "golang.org/x/sys/windows"

// Errors that Windows numbers otherwise.
const (
	messageSize = windows.WSAEMSGSIZE
	refused     = windows.WSAECONNRESET
	unreachable = windows.WSAENETUNREACH
)
