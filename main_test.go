package datagram_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram/internal/testing/testenv"
)

// background is the context of calls that do not wait.
var background = context.Background()

// TestMain fails when a goroutine outlives the tests: every Conn ends its own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testenv.Tests{M: m})
}
