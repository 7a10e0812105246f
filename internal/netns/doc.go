// Package netns gives tests network namespaces of their own, with interfaces,
// addresses and routes that the host does not notice. It is for Linux, and
// its users are tests with that constraint.
package netns
