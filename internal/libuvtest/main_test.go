package libuvtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram/internal/testing/testenv"
)

// TestMain fails when a goroutine outlives the tests: every Conn ends its own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testenv.Tests{M: m})
}
