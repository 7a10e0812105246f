// Package datagram is UDP over channels.
package datagram
