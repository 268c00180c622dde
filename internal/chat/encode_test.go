package chat

import (
	"encoding/json"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
)

// FuzzMessageSent holds what is written by hand against encoding/json.
func FuzzMessageSent(f *testing.F) {
	f.Add(uint64(7), uint64(0), "Hai!", "ann", "Ann", "", byte(0))
	f.Add(uint64(0), uint64(9), "<b>\"\\&\x00\x1f\x7f\u2028\u2029\u20ac\xff", "é", "😀", "1-2", byte(3))
	f.Add(uint64(1<<63), uint64(1), "", "\xe2\x80", "\t", "a", byte(1))
	f.Fuzz(func(t *testing.T, room, to uint64, text, handle, name, reply string, with byte) {
		m := MessageSent{Room: room, To: to, Text: text, Sender: account.Profile{ID: to, Handle: handle, Name: name}, Reply: reply}
		if with&1 != 0 {
			m.Receiver = &account.Profile{ID: room, Handle: name, Name: handle}
		}
		if with&2 != 0 {
			m.Group = &GroupProfile{ID: room, Name: text, Owner: to}
		}
		want, err := json.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.appendJSON([]byte("x")); string(got) != "x"+string(want) {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}
