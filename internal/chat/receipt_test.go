package chat_test

import (
	"fmt"
	"testing"

	"github.com/kabar-io/kabar/internal/chat"
)

// receipts are those of a message, as the person may see them.
func (w *world) receipts(me uint64, id string) (text string) {
	w.t.Helper()
	_, rs, err := w.Receipts(w.t.Context(), me, id)
	w.ok(err)
	for _, r := range rs {
		text += fmt.Sprintf("%s delivered %t, read %t at a known time %t\n", names[r.User], r.Delivered, r.Read, !r.ReadAt.IsZero())
	}
	return text
}

// In a group each reads for themselves, and whoever hides from the one who said
// it is left out for them.
func TestReceiptsOfAGroup(t *testing.T) {
	w := start(t)
	g := w.group(ann, bob, cat)
	first := w.said(chat.Place{Group: g.ID}, ann, "first")
	w.readAll(bob, chat.Place{Group: g.ID})
	second := w.said(chat.Place{Group: g.ID}, ann, "second")
	want := names[bob] + " delivered true, read true at a known time true\n" + names[cat] + " delivered false, read false at a known time false\n"
	if got := w.receipts(ann, first.ID); got != want {
		t.Errorf("of the first:\n%s", got)
	}
	w.readAll(cat, chat.Place{Group: g.ID})
	want = names[bob] + " delivered true, read true at a known time true\n" + names[cat] + " delivered true, read true at a known time false\n"
	if got := w.receipts(ann, first.ID); got != want {
		t.Errorf("of the first, when the second was read:\n%s", got)
	}
	w.ok(w.Block(t.Context(), bob, ann))
	want = names[cat] + " delivered true, read true at a known time true\n"
	if got := w.receipts(ann, second.ID); got != want {
		t.Errorf("of the second, for whom bob blocks:\n%s", got)
	}
	if _, _, err := w.Receipts(t.Context(), bob, second.ID); err == nil {
		t.Error("somebody else may ask")
	}
}
