package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestDecode(t *testing.T) {
	for in, want := range map[string]frame{
		`{"type":"x","identifier":"kirimin","to":"7"}`:                                        {kind: "x", to: 7},
		"\ufeff\n {\"type\":\"x\",\"identifier\":\"kirimin\",\"to\":7}\n":                     {kind: "x", to: 7},
		`{"type":"x","identifier":"kirimin","to":"9007199254740991","roomid":"no"}`:           {kind: "x", to: 1<<53 - 1},
		`{"type":"x","identifier":"kirimin","roomid":"7","roomtype":"group","volatile":true}`: {kind: "x", room: 7, roomtype: "group", volatile: true},
		`{"type":"x","identifier":"kirimin","to":"7","volatile":"true"}`:                      {kind: "x", to: 7},
		`{"type":"x","identifier":"kirimin","to":"7","ref":null}`:                             {kind: "x", to: 7},
		`{"type":"x","identifier":"kirimin","to":"7","ref":"\u00e4"}`:                         {kind: "x", to: 7, ref: "ä"},
		`{"type":"x","identifier":"kirimin","to":"7","to":"8"}`:                               {kind: "x", to: 8},
		`{"t\u0079pe":"\u0078","identifier":"kirimin","to":"7"}`:                              {kind: "x", to: 7},
		`{"type":"notice","type":"x","identifier":"kirimin","to":"7"}`:                        {kind: "x", to: 7},
		`{"type":"postlike","identifier":"kirimin","postid":"p1","to":"no"}`:                  {kind: "postlike", post: "p1"},
		`{"type":"typing","identifier":"kirimin","roomid":"7","to":"8"}`:                      {kind: "typing", room: 7},
		`{"type":"offer","identifier":"kirimin","to":"8","roomid":"7","callKey":"k"}`:         {kind: "offer", to: 8, callKey: "k"},
	} {
		f, bad := decode([]byte(in), true)
		f.fields = nil
		if bad != nil || fmt.Sprint(f) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %+v", in, f, bad)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	many := func(n int) string { return strings.Repeat(`"a":1,`, n) }
	for in, want := range map[string]refusal{
		``:                       {"", msgNotJSON},
		"\ufeff":                 {"", msgNotJSON},
		`{}{}`:                   {"", msgNotJSON},
		`"x"`:                    {"", msgNotJSON},
		`{`:                      {"", msgNotJSON},
		`{}`:                     {"", msgType},
		`{"ref":"r"}`:            {"r", msgType},
		`{"ref":["r"]}`:          {"", msgRef},
		`{"type":"x","ref":"r"}`: {"r", msgIdentifier},
		`{"Type":"x","identifier":"kirimin","to":"7"}`:                                  {"", msgType},
		`{"type":"x","identifier":"Kirimin","ref":"r","to":"7"}`:                        {"r", msgIdentifier},
		`{"type":"ack","identifier":"kirimin","ref":"r","to":"7"}`:                      {"r", msgReserved},
		`{"type":"x","identifier":"kirimin","ref":"r"}`:                                 {"r", msgTo},
		`{"type":"x","identifier":"kirimin","to":"0"}`:                                  {"", msgNobody},
		`{"type":"x","identifier":"kirimin","to":"07"}`:                                 {"", msgNobody},
		`{"type":"x","identifier":"kirimin","to":"-7"}`:                                 {"", msgNobody},
		`{"type":"x","identifier":"kirimin","to":7.5}`:                                  {"", msgNobody},
		`{"type":"x","identifier":"kirimin","to":""}`:                                   {"", msgNobody},
		`{"type":"x","identifier":"kirimin","to":"9007199254740992"}`:                   {"", msgNobody},
		`{"type":"x","identifier":"kirimin","to":"99999999999999999999"}`:               {"", msgNobody},
		`{"type":"x","identifier":"kirimin","roomid":{}}`:                               {"", msgNobody},
		`{"type":"postlike","identifier":"kirimin","postid":""}`:                        {"", msgPostID},
		`{` + many(maxFields) + `"type":"x","identifier":"kirimin","ref":"r","to":"7"}`: {"", msgFields},
		`{"ref":"` + strings.Repeat("r", gateway.MaxRef+1) + `"}`:                       {"", msgRef},
	} {
		if _, bad := decode([]byte(in), true); bad == nil || *bad != want {
			t.Errorf("%.80s: %+v", in, bad)
		}
	}
	most := `{` + many(maxFields-3) + `"type":"x","identifier":"kirimin","to":"7"}`
	if f, bad := decode([]byte(most), true); bad != nil || len(f.fields) != maxFields {
		t.Errorf("%d fields are refused: %+v", maxFields, bad)
	}
}

// FuzzDecode: whatever comes is refused, or obeys the rules; and what others get
// of it is an object that says the same but for what the server sets.
func FuzzDecode(f *testing.F) {
	for _, in := range []string{
		`{"type":"x","identifier":"kirimin","to":"7","ref":"r","from":"9","uid":9,"key":1,"o":{"a":[1,{}]}}`,
		`{"type":"x","roomid":7,"roomid":"8","ty\u0070e":"\ud800"}`, `{"type":"offer","to":"7","callKey":"k"}`, `{"type":"ack","type":"x","to":1}`,
		"\ufeff{ \"type\" : \"x\" , \"to\" : \"1\" , \"n\" : -1.5e3 , \"\" : \"\\\"}\" }", `null`, `{"type":"postlike","postid":"p"}`, `{"a":"\\"}`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		fr, bad := decode(in, false)
		if bad != nil {
			var ack struct{ Type, Ref, Msg string }
			if err := json.Unmarshal(appendRefusal(bad), &ack); err != nil || ack.Type != "ack" || ack.Msg == "" || ack.Ref != bad.ref {
				t.Fatalf("%q is refused with %+v, %v", in, ack, err)
			}
			return
		}
		if fr.kind == "" || reserved[fr.kind] || len(fr.ref) > gateway.MaxRef || fr.to >= maxID || fr.room >= maxID || len(fr.fields) > maxFields {
			t.Fatalf("%q is taken: %+v", in, fr)
		}
		if !utf8.Valid(in) {
			return // ws lets none of it through
		}
		var was, is map[string]any
		if err := json.Unmarshal(in[bytes.IndexByte(in, '{'):], &was); err != nil {
			t.Fatalf("%q is taken: %v", in, err)
		}
		carried := fr.carried(5)
		if err := json.Unmarshal(carried, &is); err != nil {
			t.Fatalf("%q becomes %q: %v", in, carried, err)
		}
		if _, had := was["uid"]; had {
			was["uid"] = "5"
		}
		for _, name := range []string{"key", "from", "ref"} {
			delete(was, name)
		}
		if fmt.Sprint(was) != fmt.Sprint(is) {
			t.Fatalf("%q becomes %q", in, carried)
		}
		again, bad := decode(carried, false)
		if bad != nil || again.kind != fr.kind || again.to != fr.to || again.room != fr.room || again.ref != "" {
			t.Fatalf("%q becomes %q, which is %+v, %+v", in, carried, again, bad)
		}
	})
}

var (
	ann   = account.Profile{ID: 1, Handle: "ann", Name: `Ann "A"`}
	bob   = account.Profile{ID: 2, Handle: "bob", Name: "Bob"}
	group = chat.GroupProfile{ID: 9, Name: "Nine", Owner: 1}
	at    = time.UnixMilli(1700000000000).UTC()
)

const (
	annUser  = `{"id":"1","username":"ann","displayname":"Ann \"A\""`
	annRoom  = `{"id":"1","short":"ann","long":"Ann \"A\"","type":"user"}`
	nineRoom = `{"id":"9","short":"Nine","long":"Nine","type":"group","owner":"1"}`
)

func event(t testing.TB, kind string, from uint64, data any) *journal.Message {
	t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return &journal.Message{ID: "1a-b", Kind: kind, From: from, Time: at, Data: b}
}

func TestFormat(t *testing.T) {
	sent := chat.MessageSent{Room: 5, To: 2, Text: "<hi>\n", Sender: ann, Receiver: &bob, Reply: "1-1"}
	said := event(t, chat.KindMessage, 1, sent)
	edit := chat.MessageEdited{MessageSent: sent, Of: "1-0", Sent: at.Add(-time.Second)}
	inGroup := event(t, chat.KindMessage, 1, chat.MessageSent{Room: 9, Text: "hi", Sender: ann, Group: &group})
	nobody := event(t, chat.KindMessage, 0, chat.MessageSent{Room: 9, Text: "hi", Group: &group})
	payload := func(p string) *journal.Message {
		return event(t, chat.KindRelayed, 1, chat.Relayed{To: 2, Payload: json.RawMessage(p)})
	}
	toBob, plus := Format{User: 2}, Format{User: 2, Devices: true, Notices: true, Epoch: "e"}
	mine, mineToo, shown := Format{User: 1}, Format{User: 1, Devices: true}, Format{User: 2, Shown: 3}
	private := `{"key":"1a-b","from":"1","type":"sendmessage","chat":{"id":"1a-b","userid":"1","timestamp":1700000000000,"type":"text","text":"<hi>\n","reply":"1-1"},"roomdata":` +
		annRoom + `,"users":[` + annUser + `,"isFriend":1}],"sender":` + annUser + `,"isFriend":1}}`
	formats(t, []formatted{
		{toBob, said, 3, private},
		{plus, said, 3, strings.TrimSuffix(private, "}") + `,"seq":3,"epoch":"e"}`},
		{plus, said, 0, private},
		{mine, said, 3, ``},
		{mineToo, said, 3, `{"key":"1a-b","from":"1","type":"sendmessage","chat":{"id":"1a-b","userid":"1","timestamp":1700000000000,"type":"text","text":"<hi>\n","reply":"1-1"},` +
			`"roomdata":{"id":"2","short":"bob","long":"Bob","type":"user"},"users":[{"id":"2","username":"bob","displayname":"Bob","isFriend":1}],"sender":` + annUser + `,"isFriend":0}}`},
		{toBob, event(t, chat.KindEdited, 1, edit), 3, `{"key":"1a-b","from":"1","type":"editmessage","chat":{"id":"1-0","userid":"1","timestamp":1699999999000,"type":"text","text":"<hi>\n","reply":"1-1","edited":1700000000000},"roomdata":` +
			annRoom + `,"users":[` + annUser + `,"isFriend":1}],"sender":` + annUser + `,"isFriend":1}}`},
		{toBob, event(t, chat.KindDeleted, 1, edit), 3, `{"key":"1a-b","from":"1","type":"deletemessage","chat":{"id":"1-0","userid":"1","timestamp":1699999999000,"type":"deleted"},"roomdata":` +
			annRoom + `,"users":[` + annUser + `,"isFriend":1}],"sender":` + annUser + `,"isFriend":1}}`},
		{toBob, inGroup, 3, `{"key":"1a-b","from":"1","type":"sendmessage","chat":{"id":"1a-b","userid":"1","timestamp":1700000000000,"type":"text","text":"hi"},"roomdata":` + nineRoom +
			`,"users":[` + annUser + `}],"sender":` + annUser + `}}`},
		{toBob, nobody, 3, `{"key":"1a-b","from":"0","type":"sendmessage","chat":{"id":"1a-b","userid":"0","timestamp":1700000000000,"type":"text","text":"hi"},"roomdata":` + nineRoom +
			`,"users":[{"id":"0","username":"","displayname":""}],"sender":{"id":"0","username":"","displayname":""}}`},
		{mine, inGroup, 3, ``},
		{toBob, event(t, chat.KindRead, 1, chat.MessagesRead{Room: 5, To: 2, By: ann, Last: "1-1"}), 3, `{"key":"1a-b","from":"1","type":"readAllMessages","roomid":"1"}`},
		{mine, event(t, chat.KindRead, 1, chat.MessagesRead{Room: 5, To: 2, By: ann}), 3, ``},
		{mineToo, event(t, chat.KindRead, 1, chat.MessagesRead{Room: 5, To: 2, By: ann}), 3, `{"key":"1a-b","from":"1","type":"readAllMessages","roomid":"2"}`},
		{toBob, event(t, chat.KindRead, 1, chat.MessagesRead{Room: 9, Group: &group, By: ann}), 3, `{"key":"1a-b","from":"1","type":"readAllMessages","roomid":"9"}`},
		{toBob, event(t, chat.KindCleared, 1, chat.RoomEvent{Room: 5, To: 2, By: ann}), 3, `{"key":"1a-b","from":"1","type":"clearhistory","roomid":"1"}`},
		{mineToo, event(t, chat.KindCleared, 1, chat.RoomEvent{Room: 5, To: 2, By: ann}), 3, `{"key":"1a-b","from":"1","type":"clearhistory","roomid":"2"}`},
		{toBob, event(t, chat.KindTyping, 1, chat.Typing{By: ann, To: 2}), 0, `{"key":"1a-b","from":"1","type":"typing","roomid":"1","roomtype":"user"}`},
		{toBob, event(t, chat.KindTyping, 1, chat.Typing{By: ann, Group: &group}), 0, `{"key":"1a-b","from":"1","type":"typing","roomid":"9","roomtype":"group"}`},
		{mineToo, event(t, chat.KindTyping, 1, chat.Typing{By: ann, To: 2}), 0, ``},
		{toBob, payload(`{"type":"x","roomid":"2","to":"2","from":"7","key":"k","seq":1,"epoch":"x"}`), 3, `{"key":"1a-b","from":"1","type":"x","roomid":"1","to":"2","seq":1,"epoch":"x"}`},
		{plus, payload(`{"type":"x","roomid":"8","seq":1,"epoch":"x"}`), 3, `{"key":"1a-b","from":"1","type":"x","roomid":"8","seq":3,"epoch":"e"}`},
		{toBob, event(t, chat.KindRelayed, 1, chat.Relayed{Group: &group, Payload: json.RawMessage(`{"type":"x","roomid":"2"}`)}), 3, `{"key":"1a-b","from":"1","type":"x","roomid":"2"}`},
		{mineToo, payload(`{"type":"x"}`), 3, ``},
		{toBob, payload(`[]`), 3, ``},
		{toBob, event(t, chat.KindSignal, 1, chat.Signal{By: ann, Payload: json.RawMessage(`{"type":"offer","sdp":"s","callKey":"c"}`)}), 0,
			`{"type":"offer","sdp":"s","callKey":"c","user":` + annUser + `,"isFriend":1},"from":"1","uid":"1"}`},
		{toBob, event(t, chat.KindSignal, 1, chat.Signal{By: ann, Payload: json.RawMessage(`7`)}), 0, ``},
		{plus, event(t, chat.KindSignal, 1, chat.Signal{By: ann, Payload: json.RawMessage(`{"type":"offer","s\u0065q":9,"epoch":"e","callKey":"c"}`)}), 0,
			`{"type":"offer","callKey":"c","user":` + annUser + `,"isFriend":1},"from":"1","uid":"1"}`},
		{toBob, event(t, chat.KindSignal, 1, chat.Signal{By: ann, Payload: json.RawMessage(`{"type":"offer","seq":9,"callKey":"c"}`)}), 0,
			`{"type":"offer","seq":9,"callKey":"c","user":` + annUser + `,"isFriend":1},"from":"1","uid":"1"}`},
		{plus, event(t, chat.KindSignal, 0, chat.Signal{Payload: json.RawMessage(`{"type":"hangup","to":"2","callKey":"c"}`)}), 0, `{"type":"hangup","to":"2","callKey":"c"}`},
		{shown, said, 3, ``},
		{shown, said, 4, private},
		{shown, said, 0, private},
		{shown, payload(`{"type":"x"}`), 3, `{"key":"1a-b","from":"1","type":"x"}`},
		{shown, payload(`{"type":"x"}`), 4, `{"key":"1a-b","from":"1","type":"x"}`},
		{toBob, event(t, account.KindBadges, 0, account.Badges{Badges: []int{1, 5}}), 3, `{"key":"1a-b","from":"0","type":"newbadges","badges":[1,5]}`},
		{toBob, event(t, account.KindBadges, 0, account.Badges{}), 3, `{"key":"1a-b","from":"0","type":"newbadges","badges":[]}`},
		{toBob, event(t, account.KindNotice, 0, account.Notice{Text: "at noon"}), 3, ``},
		{plus, event(t, account.KindNotice, 0, account.Notice{Text: "at noon"}), 3, `{"key":"1a-b","from":"0","type":"notice","text":"at noon","seq":3,"epoch":"e"}`},
		{plus, event(t, account.KindLoginEnded, 2, account.LoginEnded{Login: 1}), 3, ``},
		{plus, event(t, account.KindTicketReplaced, 2, account.TicketReplaced{}), 3, ``},
	})
}

// TestFormatOfPeople: who becomes whose friend, who comes into a group and who leaves it.
func TestFormatOfPeople(t *testing.T) {
	member := chat.MemberEvent{Group: group, User: bob, By: ann}
	self := chat.MemberEvent{Group: group, User: ann, By: ann}
	friend := chat.FriendEvent{By: ann, User: bob, Room: 5}
	toBob, mine, mineToo := Format{User: 2}, Format{User: 1}, Format{User: 1, Devices: true}
	formats(t, []formatted{
		{toBob, event(t, chat.KindJoined, 1, self), 3, `{"key":"1a-b","from":"1","type":"memberjoin","groupid":"9","user":` + annUser + `}}`},
		{toBob, event(t, chat.KindLeft, 1, self), 3, `{"key":"1a-b","from":"1","type":"memberleave","groupid":"9"}`},
		{mine, event(t, chat.KindLeft, 1, self), 3, ``},
		{toBob, event(t, chat.KindKicked, 1, member), 3, `{"key":"1a-b","from":"1","type":"memberkick","groupid":"9"}`},
		{Format{User: 3}, event(t, chat.KindKicked, 1, member), 3, `{"key":"1a-b","from":"2","type":"memberleave","groupid":"9"}`},
		{mine, event(t, chat.KindKicked, 1, member), 3, ``},
		{mineToo, event(t, chat.KindKicked, 1, member), 3, `{"key":"1a-b","from":"2","type":"memberleave","groupid":"9"}`},
		{toBob, event(t, chat.KindRequested, 1, friend), 3, `{"key":"1a-b","from":"1","type":"addfriend","user":` + annUser + `,"isFriend":3}}`},
		{toBob, event(t, chat.KindAccepted, 1, friend), 3, `{"key":"1a-b","from":"1","type":"acceptfriend","user":` + annUser + `,"isFriend":1}}`},
		{toBob, event(t, chat.KindWithdrawn, 1, friend), 3, `{"key":"1a-b","from":"1","type":"cancelfriend","user":` + annUser + `,"isFriend":0}}`},
		{toBob, event(t, chat.KindDeclined, 1, friend), 3, `{"key":"1a-b","from":"1","type":"ignorefriend","user":` + annUser + `,"isFriend":0}}`},
		{toBob, event(t, chat.KindEnded, 1, friend), 3, `{"key":"1a-b","from":"1","type":"unfriend","user":` + annUser + `,"isFriend":0}}`},
		{mineToo, event(t, chat.KindRequested, 1, friend), 3, ``},
		{toBob, event(t, "unheard.of", 1, friend), 3, ``},
	})
}

// formatted is a message and the frame that it becomes, "" for none.
type formatted struct {
	format Format
	m      *journal.Message
	seq    uint64
	want   string
}

func formats(t *testing.T, cases []formatted) {
	t.Helper()
	for _, c := range cases {
		want := "before"
		if c.want != "" {
			want = string(ws.AppendText([]byte(want), []byte(c.want)))
		}
		if got := string(c.format.Append([]byte("before"), c.m, c.seq)); got != want {
			t.Errorf("%+v of %s:\n got %q\nwant %q", c.format, c.m.Kind, got, want)
		}
	}
}

func TestFormatPassesOverWhatCannotBeRead(t *testing.T) {
	f := Format{User: 2, Devices: true, Notices: true}
	for _, kind := range []string{
		chat.KindMessage, chat.KindEdited, chat.KindDeleted, chat.KindRead, chat.KindCleared, chat.KindTyping, chat.KindJoined, chat.KindLeft,
		chat.KindKicked, chat.KindRelayed, chat.KindSignal, chat.KindRequested, account.KindBadges, account.KindNotice, chat.KindLikes,
	} {
		m := &journal.Message{Kind: kind, From: 1, Data: []byte("no")}
		if got := f.Append(nil, m, 3); got != nil {
			t.Errorf("%s is %q", kind, got)
		}
		if got := (Likes{}).Append(nil, m, 0); got != nil {
			t.Errorf("%s is %q", kind, got)
		}
	}
}

func TestFewAskAtOnce(t *testing.T) {
	us := make([]account.User, maxAsked+1)
	for i := range us {
		us[i].ID = uint64(i) // the newest first
	}
	if got := ofAsked(us); len(got) != maxAsked || got[0].id != 0 || got[maxAsked-1].id != maxAsked-1 || got[0].friend != int(chat.TheyAsked) {
		t.Errorf("%d of %d", len(got), len(us))
	}
	if got := ofAsked(us[:1]); len(got) != 1 {
		t.Errorf("%d of 1", len(got))
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		string((Likes{}).Append(nil, event(t, chat.KindLikes, 0, chat.Likes{Post: "p", Likes: 3}), 0)): string(ws.AppendText(nil, []byte(`{"type":"postlikes","postid":"p","likes":3}`))),
		string(appendSaid(`r"`, event(t, "x", 1, nil))):                                                `{"type":"ack","ref":"r\"","ok":true,"key":"1a-b","time":1700000000000}`,
		string(appendSaid("r", nil)):                                                                   `{"type":"ack","ref":"r","ok":true}`,
		string(appendRefusal(&refusal{"r", "NO"})):                                                     `{"type":"ack","ref":"r","ok":false,"msg":"NO"}`,
		string(appendRefusal(&refusal{"", "NO"})):                                                      `{"type":"ack","ok":false,"msg":"NO"}`,
		string(appendCallKey([]byte(`{}`), "k")):                                                       `{"callKey":"k"}`,
	} {
		if got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
	}
	f := Format{User: 7}
	last, code, reason := f.End(&journal.Message{Kind: account.KindTicketReplaced})
	if want := string(ws.AppendText(nil, []byte(`{"type":"newLoggedIn","uid":"7"}`))); string(last) != want || code != 4009 || reason == "" {
		t.Errorf("got %q, %d %s", last, code, reason)
	}
	if last, code, reason = f.End(&journal.Message{Kind: account.KindLoginEnded}); last != nil || code != 4001 || reason == "" {
		t.Errorf("got %q, %d %s", last, code, reason)
	}
}

// TestAllocations: what a frame costs does not grow by itself.
func TestAllocations(t *testing.T) {
	in := []byte(`{"type":"poke","identifier":"kirimin","to":"7","ref":"0123456789","text":"` + strings.Repeat("x", 800) + `","o":{"a":[1,2,3]}}`)
	said := event(t, chat.KindMessage, 1, chat.MessageSent{Room: 5, To: 2, Text: strings.Repeat("x", 100), Sender: ann, Receiver: &bob})
	carried := event(t, chat.KindRelayed, 1, chat.Relayed{To: 2, Payload: json.RawMessage(in)})
	dst := make([]byte, 0, 8192)
	for what, c := range map[string]struct {
		most float64
		do   func()
	}{
		"decode":                {5, func() { _, _ = decode(in, true) }},
		"format of a message":   {18, func() { dst = Format{User: 2}.Append(dst[:0], said, 7) }},
		"format of what is not": {2, func() { dst = Format{User: 1}.Append(dst[:0], said, 7) }},
		"format of a relay":     {12, func() { dst = Format{User: 2, Epoch: "e"}.Append(dst[:0], carried, 7) }},
	} {
		if n := testing.AllocsPerRun(100, c.do); n > c.most {
			t.Errorf("%s allocates %.0f times, at most %.0f were meant", what, n, c.most)
		} else {
			t.Logf("%s: %.0f", what, n)
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	m := event(b, chat.KindMessage, 1, chat.MessageSent{Room: 5, To: 2, Text: strings.Repeat("x", 100), Sender: ann, Receiver: &bob})
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = Format{User: 2}.Append(dst[:0], m, 7)
	}
}

func BenchmarkDecode(b *testing.B) {
	in := []byte(`{"type":"poke","identifier":"kirimin","to":"7","ref":"0123456789","text":"` + strings.Repeat("x", 100) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, bad := decode(in, true); bad != nil {
			b.Fatal(bad)
		}
	}
}
