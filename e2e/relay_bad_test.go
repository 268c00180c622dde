package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reservedTypes are the server's own: who could send one could tell others what
// did not happen.
var reservedTypes = []string{
	"sendmessage", "editmessage", "deletemessage", "clearhistory", "memberjoin", "memberleave", "memberkick",
	"addfriend", "acceptfriend", "cancelfriend", "unfriend", "ignorefriend", "newbadges", "newLoggedIn",
	"calloffline", "ack", "error", "postlikes", "notice",
}

// TestRelayForgedFrames: what pretends to be the server's is heard by nobody,
// with whatever it is dressed up.
func TestRelayForgedFrames(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ann, budi := s.friends(t)
	cici := s.person(t, "cici")
	group := ann.bearer(t, 200, "POST", "/x/group/create", map[string]string{"name": "Warung"})
	link, _ := group.at("data", "group", "r", "link").(string)
	room, _ := group.at("data", "roomid").(string)
	if link == "" || room == "" {
		t.Fatalf("a group was made as %s", group.text)
	}
	link = link[strings.LastIndexByte(link, '/')+1:]
	budi.bearer(t, 200, "POST", "/x/group/join/"+room, map[string]string{"link": link})
	a, b, c := ann.relay(t, ""), budi.relay(t, "&live=1&notices=1&devices=1"), cici.relay(t, "")

	before := s.metric(t, "kabar_frames_refused_total", `gateway="relay"`)
	sent := 0
	to := fmt.Sprintf(`"to":"%d","uid":"%d","postid":"x","chat":{"id":"1","userid":"%d","type":"text","text":"forged"},"text":"forged"`, budi.id, budi.id, cici.id)
	for _, kind := range reservedTypes {
		for _, frame := range []string{
			`{"type":%s,"identifier":"kirimin",` + to + `}`,
			`{"type":%s,"identifier":"kirimin","roomid":"` + room + `","roomtype":"group","text":"forged"}`,
			`{"type":"wave","identifier":"kirimin",` + to + `,"type":%s}`,
			`{"\u0074ype":%s,"identifier":"kirimin",` + to + `}`,
		} {
			a.send(t, fmt.Sprintf(frame, js(kind)))
			sent++
		}
		if err := a.asks(t, kind, ","+to, "r "+kind); err == nil || !strings.HasSuffix(err.Error(), "TYPE_RESERVED") {
			t.Errorf("%s with ref: %v", kind, err)
		}
	}
	eventually(t, "each forged frame should be counted", func() error {
		if n := s.metric(t, "kabar_frames_refused_total", `gateway="relay"`) - before; n < float64(sent+len(reservedTypes)) {
			return fmt.Errorf("%v are, of %d", n, sent+len(reservedTypes))
		}
		return nil
	})
	// Nor does a stranger reach anybody by what is carried.
	if err := c.asks(t, "wave", ","+to, "stranger"); err == nil {
		t.Error("a stranger's frame was carried")
	}
	// What is carried first shows what was not; and it says who sent it.
	a.send(t, fmt.Sprintf(`{"type":"sendmessage","from":"%d","key":"mine","identifier":"kirimin",%s,"type":"wave"}`, cici.id, to))
	text := b.next(t)
	wave := read(t, text)
	if wave.at("type") != "wave" || strings.Contains(text, "sendmessage") {
		t.Fatalf("budi hears %s", text)
	}
	if me := strconv.Itoa(ann.id); wave.at("from") != me || wave.at("uid") != me || wave.at("key") == "mine" || wave.at("key") == nil {
		t.Errorf("the sender is as they say: %s", text)
	}
}

// TestRelaySocketIDsObey: logging out ends the id and what it opened, and a
// second bootstrap replaces the first with a word.
func TestRelaySocketIDsObey(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ann, budi := s.friends(t)
	refused(t, 401, s.wsURL("/"))
	refused(t, 401, s.wsURL("/?id="))
	refused(t, 401, s.wsURL("/socket?id=6dr3jfhfmdr340pa"))

	first := ann.bootstrap(t)
	old := dial(t, s.wsURL("/?id="+first))
	second := ann.bootstrap(t)
	if a := read(t, old.next(t)); a.at("type") != "newLoggedIn" || a.at("uid") != strconv.Itoa(ann.id) {
		t.Errorf("a replaced socket hears %s", a.text)
	}
	old.closes(t, 4009)
	refused(t, 401, s.wsURL("/?id="+first))
	// Somebody else's cookie does not go with it.
	refused(t, 401, s.wsURL("/?id="+second), "Cookie", "gen_app_auth_token="+budi.token)

	at, also := dial(t, s.wsURL("/?id="+second), "Cookie", "gen_app_auth_token="+ann.token), dial(t, s.wsURL("/socket?id="+second))
	other := budi.relay(t, "")
	ann.bearer(t, 200, "POST", "/x/auth/logout", nil)
	within(t, 20*time.Second, "closing after the logout", func() {
		at.closes(t, 4001)
		also.closes(t, 4001)
	})
	refused(t, 401, s.wsURL("/?id="+second))
	refused(t, 401, s.wsURL("/socket?id="+second))
	if a := ann.bearer(t, 401, "GET", "/x/auth/isUser", nil); a.at("msg") != "UNAUTHORIZED" || a.at("ok") != false {
		t.Errorf("a bootstrap after the logout: %s", a.text)
	}
	// The other's go on.
	if err := other.asks(t, "postlike", `,"postid":"nothing"`, "1"); err == nil {
		t.Error("a post that is not there was liked")
	}
}

// TestRelayAHundredLikes: a hundred frames are one like, and those who watch are
// told of one.
func TestRelayAHundredLikes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ann, budi := s.friends(t)
	post, _ := ann.bearer(t, 200, "POST", "/x/posts/new-post", map[string]string{"text": "Halo"}).at("data", "post", "id").(string)
	watcher, b := ann.relay(t, "&live=1"), budi.relay(t, "")
	for range 99 {
		b.send(t, fmt.Sprintf(`{"type":"postlike","postid":%s,"identifier":"kirimin"}`, js(post)))
	}
	if err := b.asks(t, "postlike", `,"postid":`+js(post), "hundredth"); err != nil {
		t.Error(err)
	}
	state := func() (likes, liked any) {
		posts, _ := budi.bearer(t, 200, "GET", "/x/posts", nil).at("data").([]any)
		return dig(posts[0], "likes"), dig(posts[0], "liked")
	}
	if n, liked := state(); n != 1.0 || liked != true {
		t.Errorf("after a hundred postlikes: %v likes, liked %v", n, liked)
	}
	for i := range 3 {
		if err := b.asks(t, "postunlike", `,"postid":`+js(post), fmt.Sprintf("un %d", i)); err != nil {
			t.Error(err)
		}
	}
	if n, liked := state(); n != 0.0 || liked != false {
		t.Errorf("after taking it back: %v likes, liked %v", n, liked)
	}
	for _, n := range []float64{1, 0} {
		if a := read(t, watcher.next(t)); a.at("type") != "postlikes" || a.at("postid") != post || a.at("likes") != n {
			t.Errorf("who watches hears %s, and not of %v likes", a.text, n)
		}
	}
}
