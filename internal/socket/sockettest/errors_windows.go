package sockettest

import "golang.org/x/sys/windows"

// What systems call the same.
const (
	messageSize = windows.WSAEMSGSIZE
	refused     = windows.WSAECONNRESET
	unreachable = windows.WSAENETUNREACH
)
