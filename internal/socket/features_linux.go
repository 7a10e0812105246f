package socket

import (
	"syscall"

	"example.com/datagram/internal/batch"
)

// batches says whether to hand several messages to one system call.
func (s *system) batches() bool { return s.limits.Batch && s.unbatched.Load() == 0 }

// Features adds to what was found at the start what was found since.
func (s *system) Features() Features {
	f := s.handle.Features()
	if errno := syscall.Errno(s.unbatched.Load()); f.Batch.Active && errno != 0 {
		f.Batch = Feature{Reason: "recvmmsg or sendmmsg: " + errno.Error()}
	}
	if f.Segment.Active && !s.segmentation.on.Load() {
		f.Segment = Feature{Reason: "SetSegmentation"}
	}
	if reason := s.segmentation.blockReason(); reason != "" && f.Segment.Active {
		f.Segment.Reason = reason
	}
	if f.Batch.Active {
		f.ReceiveMessages, f.SendMessages = maxSlots, maxMessages
	}
	if f.Segment.Active {
		f.Segments = batch.MaxSegments
	}
	return f
}
