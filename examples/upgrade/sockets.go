package main

import (
	"context"
	"os"
	"strconv"

	"github.com/cloudflare/tableflip"
	"github.com/coreos/go-systemd/v22/activation"

	"example.com/datagram"
)

// socketName is the name of the sockets in the socket unit (FileDescriptorName=).
const socketName = "echo"

// open opens the sockets of a predecessor, or those of systemd, or else listens. It keeps them for a
// successor, in order.
func open(fds *tableflip.Fds, address string, n int) (*datagram.Group, error) {
	files, err := inherited(fds)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		files = activated()
	}
	var group *datagram.Group
	if len(files) > 0 {
		group, err = datagram.OpenGroup(files)
	} else {
		group, err = datagram.ListenGroup(context.Background(), "udp", address, n)
	}
	closeAll(files)
	if err != nil {
		return nil, err
	}
	if err := keep(fds, group); err != nil {
		group.Close()
		return nil, err
	}
	return group, nil
}

// inherited returns the sockets of the predecessor, if there is one.
func inherited(fds *tableflip.Fds) (files []*os.File, err error) {
	for {
		f, err := fds.File(name(len(files)))
		if f == nil || err != nil {
			return files, err
		}
		files = append(files, f)
	}
}

// activated returns the sockets of systemd with the right name.
func activated() (files []*os.File) {
	for _, f := range activation.Files(true) {
		if f.Name() == socketName {
			files = append(files, f)
		} else {
			f.Close()
		}
	}
	return files
}

// keep passes the sockets to each successor.
func keep(fds *tableflip.Fds, group *datagram.Group) error {
	files, err := group.Files()
	if err != nil {
		return err
	}
	defer closeAll(files)
	for i, f := range files {
		if err := fds.AddFile(name(i), f); err != nil {
			return err
		}
	}
	return nil
}

// name returns the name under which a successor finds socket i.
func name(i int) string { return socketName + strconv.Itoa(i) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
