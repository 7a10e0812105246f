// Package ethtool lets tests switch the offloads of network devices, as ethtool(8) does. It works on Linux
// only.
package ethtool
