package chat

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

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
		var read MessageSent
		if err := json.Unmarshal(want, &read); err != nil {
			t.Fatal(err)
		}
		if quick, err := ReadMessage(want); err != nil || !reflect.DeepEqual(quick, read) {
			t.Fatalf("%s is read as %+v, %v; want %+v", want, quick, err, read)
		}
	})
}

// FuzzReadMessage: what is read by hand is what encoding/json reads.
func FuzzReadMessage(f *testing.F) {
	m := MessageSent{
		Room: 7, To: 2, Text: "Hai!", Sender: account.Profile{ID: 1, Handle: "ann", Name: "Ann"}, Receiver: &account.Profile{ID: 2},
		Group: &GroupProfile{ID: 3, Name: "g", Owner: 1}, Reply: "1-2",
	}
	f.Add(m.appendJSON(nil))
	f.Add([]byte(`{"room":07,"text":"","sender":{"id":1,"handle":"","name":""}}`))
	f.Add([]byte(`{"room":+7,"text":"","sender":{"id":1_0,"handle":"","name":""}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var quick, slow MessageSent
		if !utf8.Valid(data) || !quick.readJSON(string(data)) {
			return
		}
		if err := json.Unmarshal(data, &slow); err != nil || !reflect.DeepEqual(quick, slow) {
			t.Fatalf("%q is read as %+v, want %+v, %v", data, quick, slow, err)
		}
	})
}
