package datagram_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine outlives the tests: every Conn ends its own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
