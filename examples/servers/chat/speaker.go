package main

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"unicode"
)

// A speaker is one who takes part, told apart from others of the same name by a random ID.
type speaker struct{ id, name string }

// A message is what a datagram holds, as JSON.
type message struct{ ID, Name, Text string }

// maxText limits a line so that its datagram fits into a packet of Ethernet: others see all of it or nothing.
const maxText = 1000

func newSpeaker(name string) speaker { return speaker{rand.Text(), name} }

// say returns the payload of a line.
func (s speaker) say(line string) []byte {
	if len(line) > maxText {
		line = strings.ToValidUTF8(line[:maxText], "") + "…"
	}
	payload, err := json.Marshal(message{s.id, s.name, line})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return payload
}

// hear returns what to print of a datagram that may be anybody's, if anything.
func (s speaker) hear(payload []byte) (text string, ok bool) {
	var m message
	if json.Unmarshal(payload, &m) != nil || m.Name == "" || m.ID == s.id {
		return "", false
	}
	return printable(m.Name) + ": " + printable(m.Text), true
}

// printable replaces what could control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}
