package quic_test

import (
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testenv.Tests{M: m})
}
