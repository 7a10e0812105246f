package systemtest_test

import (
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// The kernel's clock is the sender's over loopback: a stamp is not before the datagram was sent, nor
// after it was received. How far from either is printed by the bench ("go run . stamps").
func TestTimeStampIsWithinTheSendersClock(t *testing.T) {
	const slack = time.Millisecond // should the clock be slewed meanwhile
	conntest.AwaitTimeStamps(t)
	to := conntest.Loopback(t, datagram.WithMetadata(datagram.MetaTime))
	from := conntest.Loopback(t)
	ch := to.Recv()
	for range 200 {
		for { // once more if the clock was set meanwhile
			before := time.Now()
			conntest.TrySend(t, from, datagram.To(to.LocalAddr(), []byte("x")))
			stamp := await.Value(t, "a datagram", ch).Meta.Time
			after := time.Now()
			set := after.Round(0).Sub(before.Round(0)) - after.Sub(before) // wall clock against monotonic clock
			if set.Abs() > slack {
				continue
			}
			if stamp.Before(before.Round(0).Add(-slack)) || stamp.After(after.Round(0).Add(slack)) {
				t.Fatalf("stamped at %v, sent after %v, received before %v", stamp, before, after)
			}
			break
		}
	}
}
