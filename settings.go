package datagram

import (
	"math"
	"net"
	"syscall"

	"example.com/datagram/internal/socket"
)

// settings are socket options by the values that were asked for.
type settings struct {
	asked [socket.Options]bool
	value [socket.Options]int
}

func (s *settings) remember(option socket.Option, value int) {
	s.asked[option], s.value[option] = true, value
}

// list returns what was asked for, in the order in which to apply it.
func (s *settings) list() []socket.Setting {
	var list []socket.Setting
	for option, asked := range s.asked {
		if asked {
			list = append(list, socket.Setting{Option: socket.Option(option), Value: s.value[option]})
		}
	}
	return list
}

// setting returns an Option that remembers a socket option.
func setting(option socket.Option, value int) Option {
	return func(c *config) error {
		if err := checkSetting(option, value); err != nil {
			return err
		}
		c.settings.remember(option, value)
		return nil
	}
}

// checkSetting refuses values that no system takes.
func checkSetting(option socket.Option, value int) error {
	ok := true
	switch option {
	case socket.TTL, socket.MulticastTTL:
		ok = 1 <= value && value <= 255
	case socket.ReadBuffer, socket.WriteBuffer, socket.MulticastInterface:
		ok = 0 <= value && value <= math.MaxInt32
	}
	if !ok {
		return &socket.SettingError{Option: option, Err: syscall.EINVAL}
	}
	return nil
}

func boolInt(on bool) int {
	if on {
		return 1
	}
	return 0
}

// set applies a setting to the socket, or remembers it until there is one.
func (c *Conn) set(option socket.Option, value int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.existing()
	if invalid := checkSetting(option, value); invalid != nil && err != net.ErrClosed {
		return c.opError("set", nil, invalid)
	}
	switch err {
	case nil:
		if err := s.SetOption(option, value); err != nil {
			return c.settingError("set", option.String(), err)
		}
	case syscall.EBADF: // no socket yet
	default:
		return c.settingError("set", option.String(), err)
	}
	c.config.settings.remember(option, value)
	return nil
}

// get reads a setting from the socket, or what was set while there is none.
func (c *Conn) get(option socket.Option) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.existing()
	if err == syscall.EBADF && c.config.settings.asked[option] {
		return c.config.settings.value[option], nil
	}
	if err != nil {
		return 0, c.settingError("get", option.String(), err)
	}
	value, err := s.Option(option)
	return value, c.settingError("get", option.String(), err)
}

// SetBroadcast says whether the handle may send to broadcast addresses, which
// is EACCES otherwise, as it is by default. libuv calls it
// uv_udp_set_broadcast.
func (c *Conn) SetBroadcast(on bool) error {
	return c.set(socket.Broadcast, boolInt(on))
}

// SetTTL sets the time to live of IPv4 and the hop limit of IPv6 for unicast
// datagrams, 1 to 255; other values are EINVAL. libuv calls it uv_udp_set_ttl.
func (c *Conn) SetTTL(ttl int) error { return c.set(socket.TTL, ttl) }

// TTL returns the time to live. Before there is a socket it returns what was
// set, or EBADF.
func (c *Conn) TTL() (int, error) { return c.get(socket.TTL) }

// SetReadBuffer sets the size of the system's receive buffer in bytes. Linux
// and Windows round and cap it without an error, Linux at net.core.rmem_max
// unless the program has CAP_NET_ADMIN: see [Conn.ReadBuffer], and
// [Conn.Capabilities] for the reason. macOS and the BSDs say ENOBUFS above
// kern.ipc.maxsockbuf. A size that is negative or does not fit 32 bits is
// EINVAL. libuv calls it uv_recv_buffer_size.
func (c *Conn) SetReadBuffer(bytes int) error { return c.set(socket.ReadBuffer, bytes) }

// ReadBuffer returns the size of the system's receive buffer as the system
// reports it. Linux reports twice what it was asked for, as it counts its own
// overhead. Before there is a socket it returns what was set, or EBADF.
func (c *Conn) ReadBuffer() (int, error) { return c.get(socket.ReadBuffer) }

// SetWriteBuffer sets the size of the system's send buffer in bytes, under the
// same rules as SetReadBuffer. libuv calls it uv_send_buffer_size.
func (c *Conn) SetWriteBuffer(bytes int) error { return c.set(socket.WriteBuffer, bytes) }

// WriteBuffer returns the size of the system's send buffer, under the same
// rules as ReadBuffer.
func (c *Conn) WriteBuffer() (int, error) { return c.get(socket.WriteBuffer) }

// interfaceIndex returns the index of an interface, 0 for nil, and -1 if it has none.
func interfaceIndex(ifi *net.Interface) int {
	switch {
	case ifi == nil:
		return 0
	case ifi.Index == 0:
		return -1
	}
	return ifi.Index
}
