package api

import "testing"

func TestReadEvents(t *testing.T) {
	for in, want := range map[string]int{`{"event":"a"}`: 1, `[]`: 0, `[{"event":"a"},{"event":"b","data":[1]}]`: 2, "[ {} ]": 1} {
		if list, err := readEvents([]byte(in)); err != nil || len(list) != want {
			t.Errorf("%s: %d events, %v", in, len(list), err)
		}
	}
	for _, in := range []string{``, `[`, `[{"event":"a"}`, `[{"event":"a"},]`, `[{"event":"a"}] x`, `[{"event":"a"}]]`, `[{"event":"a"}]{}`, `{"event":"a"} {}`, `[1]`, `7`} {
		if list, err := readEvents([]byte(in)); err == nil {
			t.Errorf("%q is taken as %d events", in, len(list))
		}
	}
}
