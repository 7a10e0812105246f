package systemtest_test

import (
	"fmt"
	"os"
	"testing"

	"example.com/datagram/internal/testing/testenv"
)

// These tests destroy sockets and give ports away, which others must not take meanwhile.
func TestNamespaceOfItsOwn(t *testing.T) {
	const network = "/proc/%v/ns/net"
	mine, err := os.Readlink(fmt.Sprintf(network, "self"))
	if err != nil {
		t.Fatal(err)
	}
	if outer, err := os.Readlink(fmt.Sprintf(network, os.Getppid())); err != nil || mine == outer {
		testenv.Skip(t, fmt.Sprintf("no network namespace of its own: that of the caller is %q, %v", outer, err))
	}
}
