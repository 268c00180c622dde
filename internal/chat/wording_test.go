package chat_test

import (
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
)

// TestWhatWasWrittenBeforeIsNowhere: after an edit, and after a deletion, no
// message of the log holds an earlier text, in whosever inbox.
func TestWhatWasWrittenBeforeIsNowhere(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, asAnn, asBob chat.Place) { //nolint:thelper // the test itself
		ctx := t.Context()
		logged := func() string {
			var all strings.Builder
			for _, user := range []uint64{ann, bob} {
				ms, err := w.journal.Read(ctx, account.Inbox(user), 0, 1000)
				w.ok(err)
				for _, m := range ms {
					all.Write(m.Data)
				}
			}
			return all.String()
		}
		w.said(asAnn, ann, "another-message")
		m := w.said(asAnn, ann, "first-wording")
		for _, text := range []string{"second-wording", "third-wording"} {
			if _, err := w.Edit(ctx, ann, asAnn, m.ID, text, 0); err != nil {
				t.Fatal(err)
			}
		}
		if got := logged(); strings.Contains(got, "first-wording") || strings.Contains(got, "second-wording") || strings.Count(got, "third-wording") < 6 {
			t.Errorf("after the edits the log holds %s", got)
		}
		if _, err := w.Delete(ctx, ann, asAnn, m.ID, 0); err != nil {
			t.Fatal(err)
		}
		if got := logged(); strings.Contains(got, "-wording") || !strings.Contains(got, "another-message") {
			t.Errorf("after the deletion the log holds %s", got)
		}
		w.history(bob, asBob, "(deleted) another-message")
	})
}
