package wire

// ControlSize is 0: golang.org/x/net has no control messages on Windows.
const ControlSize = 0

// Parse has nothing to read.
func (*Ancillary) Parse([]byte, Zones) {}
