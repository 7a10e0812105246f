//go:build !linux

package netns

// Own does nothing.
func Own() {}
