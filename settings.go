package datagram

import (
	"fmt"
	"math"
	"net"
	"sync"
	"syscall"

	"example.com/datagram/internal/socket"
)

// settings are the values requested for socket options.
type settings struct {
	asked [socket.Options]bool
	value [socket.Options]int
}

func (s *settings) remember(option socket.Option, value int) {
	s.asked[option], s.value[option] = true, value
}

// list returns the requested settings in the order in which to apply them.
func (s *settings) list() []socket.Setting {
	var list []socket.Setting
	for option, asked := range s.asked {
		if asked {
			list = append(list, socket.Setting{Option: socket.Option(option), Value: s.value[option]})
		}
	}
	return list
}

// wantedSettings are the settings that the program wants for the socket.
// Options initialize them, and setters change them. A setter applies its value
// to the socket if there is one; otherwise the creator of the socket does.
type wantedSettings struct {
	mu sync.Mutex
	settings
	unsegmented bool // SetSegmentation
}

// setting returns an Option that requests a value for a socket option.
func setting(option socket.Option, value int) Option {
	return func(c *config) error {
		if err := checkSetting(option, value); err != nil {
			return err
		}
		c.settings.remember(option, value)
		return nil
	}
}

// checkSetting rejects values that no system accepts.
func checkSetting(option socket.Option, value int) error {
	switch option {
	case socket.TTL, socket.MulticastTTL:
		return checkRange(option.String(), value, 1, 255)
	case socket.ReadBuffer, socket.WriteBuffer:
		return checkRange(option.String(), value, 0, math.MaxInt32)
	case socket.MulticastInterface:
		if value < 0 || value > math.MaxInt32 {
			return invalid(option.String() + " without a valid index")
		}
	}
	return nil
}

// checkRange returns an error that wraps EINVAL and names the range if a value
// is outside it.
func checkRange(name string, value, least, most int) error {
	switch {
	case value >= least && value <= most:
		return nil
	case most == math.MaxInt:
		return &socket.SettingError{Name: name, Err: fmt.Errorf("%d is less than %d: %w", value, least, syscall.EINVAL)}
	}
	return &socket.SettingError{Name: name, Err: fmt.Errorf("%d is not in %d…%d: %w", value, least, most, syscall.EINVAL)}
}

func boolInt(on bool) int {
	if on {
		return 1
	}
	return 0
}

// set applies a setting to the socket, or remembers it until there is one.
func (c *Conn) set(option socket.Option, value int) error {
	c.wanted.mu.Lock()
	defer c.wanted.mu.Unlock()
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
	c.wanted.remember(option, value)
	return nil
}

// get reads a setting from the socket, or returns the remembered value while
// there is none.
func (c *Conn) get(option socket.Option) (int, error) {
	c.wanted.mu.Lock()
	defer c.wanted.mu.Unlock()
	s, err := c.existing()
	if err == syscall.EBADF && c.wanted.asked[option] {
		return c.wanted.value[option], nil
	}
	if err != nil {
		return 0, c.settingError("get", option.String(), err)
	}
	value, err := s.Option(option)
	return value, c.settingError("get", option.String(), err)
}

// SetBroadcast sets whether the handle may send to broadcast addresses. By
// default it may not, and such sends fail with EACCES. libuv calls it
// uv_udp_set_broadcast.
func (c *Conn) SetBroadcast(on bool) error {
	return c.set(socket.Broadcast, boolInt(on))
}

// SetTTL sets the IPv4 time to live and the IPv6 hop limit of unicast
// datagrams, 1 to 255. Other values return EINVAL. libuv calls it
// uv_udp_set_ttl.
func (c *Conn) SetTTL(ttl int) error { return c.set(socket.TTL, ttl) }

// TTL returns the time to live. Before there is a socket it returns the value
// that was set, or EBADF if none was.
func (c *Conn) TTL() (int, error) { return c.get(socket.TTL) }

// SetReadBuffer sets the size of the system's receive buffer in bytes. A size
// that is negative or exceeds 2,147,483,647 returns EINVAL. libuv calls it
// uv_recv_buffer_size.
//
// Linux and Windows round and cap the size without an error. The limit of Linux
// is net.core.rmem_max, unless the program has CAP_NET_ADMIN. macOS and the
// BSDs return ENOBUFS above kern.ipc.maxsockbuf. [Conn.ReadBuffer] returns the
// size that was granted, and [Conn.Capabilities] the reason if it is smaller.
func (c *Conn) SetReadBuffer(bytes int) error { return c.set(socket.ReadBuffer, bytes) }

// ReadBuffer returns the size of the system's receive buffer, as the system
// reports it. Linux reports twice the requested size, since it counts its own
// overhead. Before there is a socket ReadBuffer returns the value that was set,
// or EBADF if none was.
func (c *Conn) ReadBuffer() (int, error) { return c.get(socket.ReadBuffer) }

// SetWriteBuffer sets the size of the system's send buffer in bytes, under the
// same rules as [Conn.SetReadBuffer]. libuv calls it uv_send_buffer_size.
func (c *Conn) SetWriteBuffer(bytes int) error { return c.set(socket.WriteBuffer, bytes) }

// WriteBuffer returns the size of the system's send buffer, under the same
// rules as [Conn.ReadBuffer].
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
