package consumers_test

import (
	"testing"

	"go.uber.org/goleak"

	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) {
	// kcp-go's own goroutines never end.
	goleak.VerifyTestMain(testenv.Tests{M: m},
		goleak.IgnoreTopFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).run"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.postProcessWorker"))
}
