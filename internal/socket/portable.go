package socket

func newPortable(h *handle) Socket { return newSystem(h) }
