package chat_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
)

func (w *world) post(me uint64, text string) chat.Post {
	w.t.Helper()
	p, err := w.NewPost(w.t.Context(), me, text)
	w.ok(err)
	return p
}

func (w *world) posts(me uint64) string {
	w.t.Helper()
	page, _, err := w.Posts(w.t.Context(), me, 0, 100)
	w.ok(err)
	var out []string
	for _, p := range page {
		s := fmt.Sprintf("%s:%s %d likes %d comments", p.User.Handle, p.Text, p.Likes, p.Comments)
		if p.Liked {
			s += " liked"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestOneLikeAPerson(t *testing.T) {
	w := start(t)
	p := w.post(ann, "satu")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := w.Like(bob, p.ID, true, journal.Key{}).Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.posts(bob); got != "ann:satu 1 likes 0 comments liked" {
		t.Fatal(got)
	}
	_, err := w.Like(ann, p.ID, true, journal.Key{}).Wait(t.Context())
	w.ok(err)
	for range 3 {
		_, err = w.Like(bob, p.ID, false, journal.Key{}).Wait(t.Context())
		w.ok(err)
	}
	if got := w.posts(bob); got != "ann:satu 1 likes 0 comments" {
		t.Fatal(got)
	}
	w.ok(w.accounts.Suspend(t.Context(), bob))
	_, err = w.Like(bob, p.ID, true, journal.Key{}).Wait(t.Context())
	w.refused(err, account.ErrSuspended)
}

func TestPosts(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	w.befriend(ann, bob)
	first := w.post(ann, "pertama")
	if len(first.ID) < 9 || first.ID[0] != 'p' || strings.Trim(first.ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || first.Time.IsZero() || first.User.ID != ann {
		t.Fatalf("%+v", first)
	}
	for i := range 24 {
		w.post(bob, fmt.Sprint("b", i))
	}
	var all []string
	pages := 0
	for cursor := uint64(0); ; pages++ {
		page, next, err := w.Posts(ctx, ann, cursor, 10)
		w.ok(err)
		for _, p := range page {
			all = append(all, p.Text)
			if p.User.Password != "" || p.User.Email == "" || (p.User.ID == bob) != (p.User.Friend == chat.Friends) {
				t.Fatalf("%+v", p)
			}
		}
		w.post(cat, "meanwhile")
		if cursor = next; next == 0 {
			break
		}
	}
	if pages != 2 || len(all) != 25 || all[0] != "b23" || all[24] != "pertama" {
		t.Fatalf("%d pages: %q", pages+1, all)
	}
	for range 100 {
		w.post(cat, "more")
	}
	if page, next, err := w.Posts(ctx, ann, 0, 100000); err != nil || len(page) != 100 || next == 0 {
		t.Fatalf("%d, %v", len(page), err)
	}
	for text, want := range map[string]error{
		"": chat.ErrTextRequired, "\n": chat.ErrTextRequired, "\xff": chat.ErrTextInvalid, strings.Repeat("é", 2001): chat.ErrTextTooLong,
	} {
		_, err := w.NewPost(ctx, ann, text)
		w.refused(err, want)
		_, err = w.AddComment(ctx, ann, first.ID, text)
		w.refused(err, want)
	}
	w.post(ann, strings.Repeat("é", 2000))
	w.refused(w.DeletePost(ctx, bob, first.ID), chat.ErrNotAuthor)
	_, err := w.Like(bob, first.ID, true, journal.Key{}).Wait(ctx)
	w.ok(err)
	w.ok(w.DeletePost(ctx, ann, first.ID))
	w.refused(w.DeletePost(ctx, ann, first.ID), chat.ErrNoPost)
	_, err = w.Post(ctx, ann, first.ID)
	w.refused(err, chat.ErrNoPost)
	_, err = w.Like(bob, first.ID, true, journal.Key{}).Wait(ctx)
	w.refused(err, chat.ErrNoPost)
	_, err = w.NewPost(ctx, 99, "x")
	w.refused(err, account.ErrUserNotFound)
}

func TestSeedPost(t *testing.T) {
	w := start(t)
	for range 2 {
		p, err := w.SeedPost(t.Context(), "pm2yig6go", ann, "halo")
		if err != nil || p.ID != "pm2yig6go" || p.Text != "halo" {
			t.Fatalf("%+v, %v", p, err)
		}
		_, err = w.Like(bob, p.ID, true, journal.Key{}).Wait(t.Context())
		w.ok(err)
	}
	if got := w.posts(bob); got != "ann:halo 1 likes 0 comments liked" {
		t.Fatal(got)
	}
	for _, id := range []string{"", "A", "a b", strings.Repeat("a", 33)} {
		if _, err := w.SeedPost(t.Context(), id, ann, "x"); err == nil {
			t.Errorf("%q is an id", id)
		}
	}
}

func (w *world) comments(me uint64, post string) string {
	w.t.Helper()
	cs, err := w.Comments(w.t.Context(), me, post)
	w.ok(err)
	var out []string
	for _, c := range cs {
		out = append(out, c.User.Handle+":"+c.Text)
	}
	return strings.Join(out, " ")
}

func TestComments(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	p, other := w.post(ann, "apa kabar?"), w.post(ann, "lain")
	c, err := w.AddComment(ctx, bob, p.ID, "baik")
	w.ok(err)
	if c.ID == "" || c.User.ID != bob || c.Time.IsZero() || c.Text != "baik" {
		t.Fatalf("%+v", c)
	}
	c2, err := w.AddComment(ctx, cat, p.ID, "juga")
	w.ok(err)
	if got := w.comments(dan, p.ID) + "|" + w.comments(dan, other.ID); got != "bob:baik cat:juga|" {
		t.Fatal(got)
	}
	if got := w.posts(dan); got != "ann:lain 0 likes 0 comments, ann:apa kabar? 0 likes 2 comments" {
		t.Fatal(got)
	}
	w.refused(w.DeleteComment(ctx, cat, p.ID, c.ID), chat.ErrNotAuthor)
	w.refused(w.DeleteComment(ctx, bob, other.ID, c.ID), chat.ErrNoComment)
	w.ok(w.DeleteComment(ctx, bob, p.ID, c.ID))
	w.refused(w.DeleteComment(ctx, bob, p.ID, c.ID), chat.ErrNoComment)
	w.ok(w.DeleteComment(ctx, ann, p.ID, c2.ID)) // it is her post
	if got := w.comments(dan, p.ID) + w.posts(dan); !strings.HasSuffix(got, "ann:apa kabar? 0 likes 0 comments") {
		t.Fatal(got)
	}
	_, err = w.AddComment(ctx, bob, "nope", "x")
	w.refused(err, chat.ErrNoPost)
	_, err = w.Comments(ctx, bob, "nope")
	w.refused(err, chat.ErrNoPost)
	for i := range 501 {
		_, err = w.AddComment(ctx, bob, p.ID, strconv.Itoa(i))
		w.ok(err)
	}
	cs, err := w.Comments(ctx, bob, p.ID)
	if err != nil || len(cs) != 500 || cs[0].Text != "1" || cs[499].Text != "500" {
		t.Fatalf("%d comments, %v", len(cs), err)
	}
}
