package datagram

import "example.com/datagram/internal/socket"

// A copyFilter drops datagrams that another handle of the group delivers. The system gives each
// socket a copy of them.
type copyFilter socket.Copies

func (f copyFilter) excludes(d *Datagram) bool {
	switch socket.Copies(f) {
	case socket.AllCopies:
		return true
	case socket.ElsewhereCopies:
		return d.elsewhere
	case socket.BroadcastCopies:
		return d.elsewhere && !d.Meta.Local.IsMulticast()
	}
	return false
}

// dropCopies leaves copies to another handle that is bound to the same address. The handle must be
// open, and not be receiving.
func (c *Conn) dropCopies() error {
	copies, err := c.get(socket.CopiesOption)
	if err != nil {
		return err
	}
	r := &c.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies = copyFilter(copies)
	return nil
}
