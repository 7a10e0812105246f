package wire

import (
	"encoding/hex"
	"net"
)

// A Name is an address of a family other than the Internet's.
type Name struct{ net.Addr }

// Unixgram is what package net calls the datagram sockets of AF_UNIX.
const Unixgram = "unixgram"

// A RawAddr is an address in the layout of the system's struct sockaddr.
type RawAddr struct{ Sockaddr []byte }

// Network returns "sockaddr".
func (RawAddr) Network() string { return "sockaddr" }

// String returns the bytes in hexadecimal.
func (a RawAddr) String() string { return hex.EncodeToString(a.Sockaddr) }
