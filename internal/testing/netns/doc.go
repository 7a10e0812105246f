// Package netns gives tests their own network namespaces, with interfaces, addresses and routes that do not
// affect the host. It works on Linux only.
package netns
