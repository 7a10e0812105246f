package main

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	payloadSize = 1200                      // bytes of a packet, so that it crosses the Internet in one piece
	window      = 64                        // packets that may be in flight: the size of ack.later
	maxSize     = payloadSize * (1<<32 - 2) // of a file, for what a sequence number can count
)

// A packet begins with its kind and the random number of its transfer, and ends with a checksum, because that of UDP
// misses some errors, and not all that arrives at a port was meant for it.
const (
	kindData = 'd' // sequence number, payload
	kindAck  = 'a' // ack

	checksumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A data packet holds a piece of the file or, if its number is 0, the offer of the file as JSON.
type data struct {
	transfer uint64
	number   uint32
	payload  []byte
}

// An offer describes the file.
type offer struct {
	Name   string
	Size   int64
	SHA256 []byte
}

// packets returns the number of packets that the file takes, including the offer.
func (o offer) packets() int64 { return 1 + (o.Size+payloadSize-1)/payloadSize }

// An ack answers every data packet. It says all that has arrived, so that it matters little if one is lost.
type ack struct {
	transfer uint64
	next     uint32 // all packets before this have arrived, this one has not
	later    uint64 // bit i: packet next+1+i has arrived
	status   status
	problem  string // why the file was refused
}

type status byte

const (
	receiving status = iota
	stored
	refused
)

func (d data) encode() []byte {
	p := binary.BigEndian.AppendUint64([]byte{kindData}, d.transfer)
	p = binary.BigEndian.AppendUint32(p, d.number)
	return seal(append(p, d.payload...))
}

func decodeData(p []byte) (d data, ok bool) {
	p, ok = unseal(p, kindData, 8+4)
	if !ok {
		return data{}, false
	}
	return data{binary.BigEndian.Uint64(p), binary.BigEndian.Uint32(p[8:]), p[12:]}, true
}

func (a ack) encode() []byte {
	p := binary.BigEndian.AppendUint64([]byte{kindAck}, a.transfer)
	p = binary.BigEndian.AppendUint32(p, a.next)
	p = binary.BigEndian.AppendUint64(p, a.later)
	p = append(p, byte(a.status))
	return seal(append(p, a.problem...))
}

func decodeAck(p []byte) (a ack, ok bool) {
	p, ok = unseal(p, kindAck, 8+4+8+1)
	if !ok {
		return ack{}, false
	}
	return ack{
		binary.BigEndian.Uint64(p), binary.BigEndian.Uint32(p[8:]), binary.BigEndian.Uint64(p[12:]),
		status(p[20]), string(p[21:]),
	}, true
}

func seal(p []byte) []byte {
	return binary.BigEndian.AppendUint32(p, crc32.Checksum(p, castagnoli))
}

// unseal returns what is between kind and checksum, if a packet is of a kind, intact and long enough.
func unseal(p []byte, kind byte, size int) ([]byte, bool) {
	end := len(p) - checksumSize
	if end < 1+size || p[0] != kind || binary.BigEndian.Uint32(p[end:]) != crc32.Checksum(p[:end], castagnoli) {
		return nil, false
	}
	return p[1:end], true
}
