package consumers_test

import (
	"testing"

	"github.com/gosnmp/gosnmp"

	"example.com/datagram/internal/testing/await"
)

// TestSNMP lets gosnmp get a value.
func TestSNMP(t *testing.T) {
	const oid = ".1.3.6.1.2.1.1.5.0" // sysName
	codec := &gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}
	agent := answer(t, func(question []byte) []byte {
		p, err := codec.SnmpDecodePacket(question)
		if err != nil {
			t.Errorf("question: %v", err)
			return nil
		}
		p.PDUType = gosnmp.GetResponse
		p.Variables = []gosnmp.SnmpPDU{{Name: oid, Type: gosnmp.OctetString, Value: "here"}}
		reply, err := p.MarshalMsg()
		if err != nil {
			t.Errorf("reply: %v", err)
		}
		return reply
	})
	client := &gosnmp.GoSNMP{
		Target: agent.IP.String(), Port: uint16(agent.Port),
		Version: gosnmp.Version2c, Community: "public", Timeout: await.Limit,
	}
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}
	client.Conn.Close()
	client.Conn = dial(t, agent.String())
	got, err := client.Get([]string{oid})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Variables) != 1 || string(got.Variables[0].Value.([]byte)) != "here" {
		t.Errorf("got %+v", got.Variables)
	}
}
