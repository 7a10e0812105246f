package main

import (
	"bytes"
	"errors"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// maxNote is the size of the largest note, in bytes. A larger one would need block-wise transfer (RFC 7959).
const maxNote = 1024

// resources are what the server serves. A request that is repeated has the same outcome, so that it needs not be
// recognized (RFC 7252 section 4.5).
type resources struct{ note []byte }

// answer returns the answer to a message, or nil if there is none.
func (r *resources) answer(payload []byte) ([]byte, error) {
	request := message.Message{Options: make(message.Options, 0, 16)}
	if _, err := coder.DefaultCoder.Decode(payload, &request); err != nil {
		return nil, err
	}
	reply := message.Message{Code: codes.Empty, Type: message.Reset, MessageID: request.MessageID}
	var format message.MediaType
	var err error
	isRequest := codes.GET <= request.Code && request.Code < codes.Code(1<<5) // class 0
	switch {
	case request.Type == message.Acknowledgement || request.Type == message.Reset:
		return nil, nil
	case isRequest:
		reply.Code, format, reply.Payload = r.respond(&request)
		reply.Token = request.Token
		reply.Type = message.Acknowledgement
		if request.Type == message.NonConfirmable {
			reply.Type, reply.MessageID = message.NonConfirmable, message.GetMID()
		}
		if reply.Code == codes.Content {
			reply.Options, _, err = reply.Options.SetContentFormat(make([]byte, 2), format)
		}
	case request.Type == message.NonConfirmable:
		return nil, nil // a reset is only due for a confirmable message: a ping, or a mistake
	}
	if err != nil {
		return nil, err
	}
	size, err := coder.DefaultCoder.Size(reply)
	if err != nil {
		return nil, err
	}
	encoded := make([]byte, size)
	_, err = coder.DefaultCoder.Encode(reply, encoded)
	return encoded, err
}

// respond carries out a request.
func (r *resources) respond(request *message.Message) (codes.Code, message.MediaType, []byte) {
	for _, option := range request.Options {
		if !understood(option.ID) {
			return codes.BadOption, 0, nil
		}
	}
	path, err := request.Options.Path()
	if err != nil && !errors.Is(err, message.ErrOptionNotFound) { // which means "/"
		return codes.BadRequest, 0, nil
	}
	switch {
	case path == "/.well-known/core" && request.Code == codes.GET: // RFC 6690
		return codes.Content, message.AppLinkFormat, []byte(`</time>;ct=0,</note>;ct=0`)
	case path == "/time" && request.Code == codes.GET:
		return codes.Content, message.TextPlain, []byte(time.Now().UTC().Format(time.RFC3339))
	case path == "/note" && request.Code == codes.GET:
		return codes.Content, message.TextPlain, r.note
	case path == "/note" && request.Code == codes.PUT && len(request.Payload) > maxNote:
		return codes.RequestEntityTooLarge, 0, nil
	case path == "/note" && request.Code == codes.PUT:
		r.note = bytes.Clone(request.Payload) // the datagram will be released
		return codes.Changed, 0, nil
	case path == "/.well-known/core" || path == "/time" || path == "/note":
		return codes.MethodNotAllowed, 0, nil
	default:
		return codes.NotFound, 0, nil
	}
}

// understood reports whether a request with an option can be carried out: options with odd numbers are critical (RFC 7252
// section 5.4.1).
func understood(id message.OptionID) bool {
	switch id {
	case message.URIHost, message.URIPort, message.URIPath, message.URIQuery:
		return true
	default:
		return id%2 == 0
	}
}
