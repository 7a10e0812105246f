package systemtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/testenv"
)

// TestMain fails when a goroutine outlives the tests: every Conn ends its own.
func TestMain(m *testing.M) {
	netns.Own()
	goleak.VerifyTestMain(testenv.Tests{M: m})
}
