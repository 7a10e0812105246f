package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A transfer is one file that is being received. Packets go to their place in the file in any order, so that a transfer
// takes no memory for those that come early.
type transfer struct {
	offer     offer
	directory *os.Root
	part      *os.File // what has arrived; nil when it is stored or refused
	ack       ack      // what to answer
	seen      time.Time
}

// newTransfer accepts or refuses an offer.
func newTransfer(directory *os.Root, payload []byte, limit int64) *transfer {
	t := &transfer{directory: directory}
	err := json.Unmarshal(payload, &t.offer)
	name := t.offer.Name
	switch {
	case err != nil:
		t.refuse(errors.New("not an offer"))
	case filepath.Base(name) != name || !filepath.IsLocal(name) || name == ".":
		t.refuse(errors.New("bad file name"))
	case t.offer.Size < 0 || t.offer.Size > limit:
		t.refuse(errors.New("too large"))
	default:
		// The name of the part also refuses a second sender of the same file.
		if t.part, err = directory.OpenFile(t.partName(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
			t.refuse(err)
		}
	}
	return t
}

func (t *transfer) partName() string { return t.offer.Name + ".part" }

// add writes a packet to the file, and completes the file with the last one.
func (t *transfer) add(d data) {
	a := &t.ack
	later := int64(d.number) - int64(a.next) - 1
	if later < -1 || later >= window || later >= 0 && a.later>>later&1 == 1 || !t.fits(d) {
		return
	}
	if d.number > 0 {
		if _, err := t.part.WriteAt(d.payload, offset(d.number)); err != nil {
			t.refuse(err)
			return
		}
	}
	if later >= 0 {
		a.later |= 1 << later
		return
	}
	a.next++
	for ; a.later&1 == 1; a.later >>= 1 {
		a.next++
	}
	a.later >>= 1
	if int64(a.next) == t.offer.packets() {
		if err := t.store(); err != nil {
			t.refuse(err)
		}
	}
}

// fits reports whether a packet has the size that is due.
func (t *transfer) fits(d data) bool {
	left := t.offer.Size - offset(d.number)
	return d.number == 0 || int64(len(d.payload)) == min(left, payloadSize)
}

// offset returns where the payload of a packet belongs in the file.
func offset(number uint32) int64 { return (int64(number) - 1) * payloadSize }

// store gives the file its name if it is what was offered.
func (t *transfer) store() error {
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(t.part, 0, t.offer.Size)); err != nil {
		return err
	}
	if !bytes.Equal(hash.Sum(nil), t.offer.SHA256) {
		return errors.New("the file changed while it was sent")
	}
	if err := errors.Join(t.part.Sync(), t.part.Close()); err != nil {
		return err
	}
	if err := t.directory.Link(t.partName(), t.offer.Name); err != nil { // unlike Rename, replaces nothing
		return err
	}
	_ = t.directory.Remove(t.partName())
	t.part = nil
	t.ack.status = stored
	return nil
}

func (t *transfer) refuse(err error) {
	t.abandon()
	t.ack.status, t.ack.problem = refused, err.Error()
}

// abandon removes what is not complete.
func (t *transfer) abandon() {
	if t.part != nil {
		t.part.Close()
		_ = t.directory.Remove(t.partName())
		t.part = nil
	}
}
