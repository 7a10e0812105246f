package main

import (
	"encoding/binary"
	"time"
)

// The header (RFC 5905 section 7.3): leap indicator, version and mode in the first byte, then stratum, poll interval,
// precision, root delay, root dispersion, reference ID and four time stamps.
const (
	headerSize   = 48
	transmitTime = 40 // offset; a request has the client's time there

	modeClient, modeServer = 3, 4
)

// isRequest reports whether a payload is a request of a client. Extensions and authenticators after the header are
// ignored.
func isRequest(p []byte) bool {
	if len(p) < headerSize {
		return false
	}
	version, mode := p[0]>>3&7, p[0]&7
	return mode == modeClient && 1 <= version && version <= 4
}

// answer returns the answer to a request.
func answer(request []byte, stratum uint8, received, now time.Time) []byte {
	p := make([]byte, 0, headerSize)
	p = append(p, request[0]&(7<<3)|modeServer, stratum, request[2], precision)
	p = binary.BigEndian.AppendUint32(p, 0)              // delay to the reference
	p = binary.BigEndian.AppendUint32(p, rootDispersion) // and its error
	p = append(p, localClock...)
	p = appendTime(p, now) // when the clock was last set, which nobody tells
	p = append(p, request[transmitTime:headerSize]...)
	p = appendTime(p, received)
	return appendTime(p, now)
}

const (
	precision      = 256 - 20           // 2^-20 s, about a microsecond, as a signed byte
	rootDispersion = (10 << 16) / 1000  // 10 ms, as seconds with 16 binary places
	localClock     = "\x7f\x7f\x01\x01" // the reference ID that ntpd and chrony use for an undisciplined local clock
)

// appendTime appends a time stamp: seconds since 1900, which wrap around in 2036, with 32 binary places.
func appendTime(p []byte, t time.Time) []byte {
	const from1900to1970 = 2208988800 // seconds (RFC 5905 figure 4)
	p = binary.BigEndian.AppendUint32(p, uint32(t.Unix()+from1900to1970))
	return binary.BigEndian.AppendUint32(p, uint32(uint64(t.Nanosecond())<<32/1e9))
}
