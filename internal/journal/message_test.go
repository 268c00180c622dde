package journal

import (
	"bytes"
	"testing"
	"time"
)

func FuzzRecord(f *testing.F) {
	r := record{header: header{pos: 9, salt: 5, key: Key{"login/1", "r"}, of: 2}, Message: Message{
		Entries: []Entry{{"user/1", 4}, {"feed", 1 << 40}}, From: 3, Kind: "message.sent", Except: 8, Ends: "login/1",
		Time: time.Unix(1, 5).UTC(), Data: []byte(`{"a":1}`),
	}}
	f.Add(r.append(nil, &r.Message))
	r.Hops = 3
	f.Add(r.append(nil, &r.Message))
	f.Add([]byte{recordHops})
	f.Add([]byte{recordVersion})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(Row{Pos: 9, Data: b})
		if err != nil {
			return
		}
		again, err := decode(Row{Pos: 9, Data: r.append(nil, &r.Message)})
		if err != nil || again.ID != r.ID || again.Hops != r.Hops || !again.Time.Equal(r.Time) || again.key != r.key || len(again.Entries) != len(r.Entries) || !bytes.Equal(again.Data, r.Data) {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
