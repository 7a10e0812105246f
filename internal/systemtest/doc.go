// Package systemtest tests handles against the system they run on: in network namespaces, beside other programs, with
// ICMP, multicast, firewalls and system calls that are missing. Nearly all of it is for Linux.
package systemtest
