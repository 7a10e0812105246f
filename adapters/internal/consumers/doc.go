// Package consumers tests libraries that take a connection of package datagram as it is, without an
// adapter of their own.
package consumers
