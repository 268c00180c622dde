package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDirectTwoFriendsTalk(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	a, b := ann.connect(t, ""), budi.connect(t, "")
	a.send(t, say(budi.id, "Halo", ""))
	f := b.expect(t, 1)
	if f.Data["from"] != float64(ann.id) || f.Data["message"] != "Halo" {
		t.Errorf("budi hears %v", f.Data)
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(f.Data["time"])); err != nil {
		t.Error(err)
	}
	b.send(t, say(ann.id, "Hai", ""))
	// Nobody who did not ask for it hears an ack or an echo: the answer is next.
	if f := a.expect(t, 1); f.Data["message"] != "Hai" || f.Seq != 0 {
		t.Errorf("ann hears %v", f)
	}

	history := budi.ok(t, "GET", fmt.Sprintf("/api/message?to=%d", ann.id), nil)
	said, _ := history.at("data", "message").([]any)
	if len(said) != 2 || dig(said[0], "Content") != "Hai" || dig(said[1], "ID") != f.Data["id"] {
		t.Errorf("the history is %s", history.text)
	}
}

func TestDirectHearsWhatHappensBetweenPeople(t *testing.T) {
	s := serve(t)
	ann, budi := s.person(t, "ann"), s.person(t, "budi")
	a, b := ann.connect(t, ""), budi.connect(t, "")
	ann.ok(t, "POST", "/api/friends/request", map[string]int{"friend_id": budi.id})
	if f := b.expect(t, 3); f.Data["from"] != float64(ann.id) {
		t.Errorf("a request came as %v", f.Data)
	}
	budi.ok(t, "POST", "/api/friends/accept", map[string]int{"friend_id": ann.id})
	if f := a.expect(t, 2); f.Data["kind"] != "accepted" || f.Data["user"] != float64(budi.id) {
		t.Errorf("an acceptance came as %v", f.Data)
	}
	// A block works both ways, and looks to both like not being friends.
	ann.ok(t, "POST", "/api/user/block", map[string]int{"blocked_user_id": budi.id})
	for from, to := range map[*socket]*person{a: budi, b: ann} {
		from.send(t, say(to.id, "?", ""))
		if f := from.expect(t, -1); f.Data["message"] != "error : Room not found. maybe you are not friend right now" {
			t.Errorf("blocked, and told %v", f.Data)
		}
	}
}

func TestDirectSurvivesKills(t *testing.T) {
	// Pings are quick, so that pongs move budi's acknowledged position.
	const messages, kills, under = 300, 2, 16
	quick := "--keepalive-ping=100ms"
	s := serve(t, quick)
	ann, budi := s.friends(t)
	t.Logf("%d messages, %d kills, up to %d under way", messages, kills, under)

	acked := map[string]string{} // ref → id
	var got []frame              // what budi heard, over all lives
	after := budi.head(t)
	for life := range kills + 1 {
		a, b := ann.connect(t, ""), budi.connect(t, "&after="+after)
		heard := make(chan []frame, 1)
		go func() { heard <- b.untilEnd(t.Context(), messages-len(got)) }()
		sendRefs(t, a, budi.id, acked, messages, messages*(life+1)/(kills+1), under)
		if life < kills {
			s.kill9(t) // with up to `under` messages sent and not yet answered
		}
		got = append(got, <-heard...)
		if life < kills {
			s = s.again(t, quick)
			ann.s, budi.s = s, s
			if len(got) > 0 {
				after = got[len(got)-1].Data["id"].(string)
			}
		}
	}

	for i, f := range got {
		if f.Data["message"] != numbered(i) || f.Data["id"] != acked[ref(i)] {
			t.Fatalf("message %d of %d came as %v, and was acknowledged as %s", i, len(got), f.Data, acked[ref(i)])
		}
	}
	if len(got) != messages || len(acked) != messages {
		t.Errorf("%d of %d messages came, %d were acknowledged", len(got), messages, len(acked))
	}
	if past := history(t, budi, ann); !slices.Equal(past, ids(got)) {
		t.Errorf("the history has %d messages in another order than they came:\n%v\n%v", len(past), past, ids(got))
	}
	var past []string
	for i := range messages {
		past = append(past, numbered(i))
	}
	budi.acknowledged(t, ann, past)
}

// head is the position of all that the person has heard of: what comes after it
// is new.
func (p *person) head(t *testing.T) string {
	t.Helper()
	s := p.connect(t, "&epoch=1")
	must(t, 202, "POST", p.s.url("/v1/publish"), map[string]any{"user": p.id, "message": "here you are"}, "apikey", p.s.adminKey(t))
	f := s.expect(t, 2)
	return fmt.Sprintf("%s:%d", f.Epoch, f.Seq)
}

// untilEnd reads frames until there are enough or the connection ends.
func (s *socket) untilEnd(ctx context.Context, enough int) (got []frame) {
	for len(got) < enough {
		text, err := s.read(ctx)
		if err != nil {
			break
		}
		var f frame
		if json.Unmarshal([]byte(text), &f) != nil || f.Type != 1 {
			f.Data = map[string]any{"id": "", "message": "instead of a message: " + text}
		}
		got = append(got, f)
	}
	return got
}

// sendRefs sends the messages that are not acknowledged yet, in order, and
// stops with some under way once all before stop are; at the end it waits for
// all. Their numbers are their refs.
func sendRefs(t *testing.T, a *socket, to int, acked map[string]string, all, stop, under int) {
	t.Helper()
	first := len(acked)
	next := first
	for len(acked) < stop {
		for next < all && next < len(acked)+under {
			a.send(t, say(to, numbered(next), ref(next)))
			next++
		}
		f := a.expect(t, 4)
		r, id := f.Data["ref"].(string), f.Data["id"].(string)
		if want := ref(len(acked)); r != want {
			t.Fatalf("the ack of %s came, expected %s", r, want)
		}
		acked[r] = id
	}
}

func ref(i int) string { return fmt.Sprintf("r%d", i) }

func ids(fs []frame) (out []string) {
	for _, f := range fs {
		out = append(out, f.Data["id"].(string))
	}
	return out
}

// history pages through what two people said, and gives the ids, oldest first.
func history(t *testing.T, me, other *person) []string {
	t.Helper()
	var past []string
	for cursor := 0; ; {
		a := me.ok(t, "GET", fmt.Sprintf("/api/message?to=%d&cursor=%d", other.id, cursor), nil)
		page, _ := a.at("data", "message").([]any)
		for _, line := range page {
			past = append(past, dig(line, "ID").(string))
		}
		if cursor = int(a.at("data", "next_cursor").(float64)); cursor == 0 {
			slices.Reverse(past)
			return past
		}
	}
}

// acknowledged connects with after=last until nothing of the past comes any
// more: the pongs of a client that only reads acknowledge what it read. On the
// way there the past that comes is always the end of it, without a gap.
func (p *person) acknowledged(t *testing.T, from *person, past []string) {
	t.Helper()
	a := from.connect(t, "")
	for round := 0; ; round++ {
		mark := fmt.Sprintf("mark %d", round)
		b := p.connect(t, "&after=last")
		a.send(t, say(p.id, mark, ""))
		var came []string
		for len(came) == 0 || came[len(came)-1] != mark {
			f := b.frame(t)
			if f.Type == 2 && len(came) == 0 || f.Type == 3 {
				continue // from before the messages
			}
			came = append(came, fmt.Sprint(f.Data["message"]))
		}
		past = append(past, mark)
		if want := past[len(past)-len(came):]; !slices.Equal(came, want) {
			t.Fatalf("after=last gave %v, expected %v", came, want)
		}
		if len(came) == 1 {
			return
		}
		if round > 100 {
			t.Fatalf("after=last still gives %d of the past", len(came))
		}
		b.pinged(t)
	}
}

// pinged goes on reading, which answers pings, for the time of a few pings. One
// too few does no harm: there is another round.
func (s *socket) pinged(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, _, _ = s.c.Read(ctx)
	_ = s.c.CloseNow()
}

func TestDirectCodeIsSpentByTheFirst(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	code := ann.code(t)
	request := handshake(s.addr, "/ws/connect?auth="+code)

	const connects = 100
	conns := make([]*raw, connects)
	for i := range conns {
		conns[i] = rawDial(t, s.addr)
		conns[i].send(t, []byte(request[:len(request)-2])) // all but the last line end
	}
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() { _, _ = c.Write([]byte("\r\n")) })
	}
	all.Wait()
	won := 0
	for _, c := range conns {
		switch res, body := c.answered(t); res.StatusCode {
		case http.StatusSwitchingProtocols:
			won++
		case http.StatusUnauthorized:
			if !strings.Contains(body, `"code":401,"data":null,"error":"Authorization failed","details":`) {
				t.Errorf("a loser got %s", body)
			}
			c.ends(t)
		default:
			t.Errorf("one of %d got %d %s", connects, res.StatusCode, body)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d connects with one code won", won, connects)
	}

	// A spent code: the refusal, and nothing after it, whatever is sent along.
	c := rawDial(t, s.addr)
	c.send(t, append([]byte(request), clientFrame(0x81, []byte(say(budi.id, "sneaked in", "")))...))
	if res, body := c.answered(t); res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `"error":"Authorization failed"`) {
		t.Errorf("a spent code: %d %s", res.StatusCode, body)
	}
	c.ends(t)
	if past := history(t, budi, ann); len(past) != 0 {
		t.Errorf("a refused connection sent %v", past)
	}

	// A page in a browser can ask to be told by a close.
	told := dial(t, s.wsURL("/ws/connect?close_reason=1&auth="+code))
	if reason := told.closes(t, 4001); reason == "" {
		t.Error("the close of a spent code has no reason")
	}
	// A login's token is no code, and a code no login's token.
	refused(t, http.StatusUnauthorized, s.wsURL("/ws/connect?auth="+ann.token))
	must(t, http.StatusUnauthorized, "GET", s.url("/ws/auth"), nil, "Authorization", ann.code(t))
	refused(t, http.StatusUnauthorized, s.wsURL("/ws/connect?auth=nonsense"))
	refused(t, http.StatusBadRequest, s.wsURL("/ws/connect"))
}

func TestDirectLogoutEndsAll(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	one, two := ann.connect(t, ""), ann.connect(t, "&devices=1")
	code, old := ann.code(t), ann.token
	ann.login(t) // another login of the same person, which stays
	other, b := ann.connect(t, ""), budi.connect(t, "")

	must(t, 200, "POST", s.url("/api/logout"), nil, "Authorization", old)
	within(t, 20*time.Second, "closing after a logout", func() {
		one.closes(t, 4001)
		two.closes(t, 4001)
	})
	for _, header := range []string{old, "Bearer " + old} {
		for _, route := range []string{"/ws/auth", "/api/user", "/api/friends"} {
			if a := must(t, 401, "GET", s.url(route), nil, "Authorization", header); a.at("code") != 401.0 {
				t.Errorf("%s: %s", route, a.text)
			}
		}
	}
	refused(t, 401, s.wsURL("/ws/connect?auth="+code))
	b.send(t, say(ann.id, "still there?", ""))
	if f := other.expect(t, 1); f.Data["message"] != "still there?" {
		t.Errorf("the other login hears %v", f.Data)
	}
}

func TestDirectAdditionsAreAskedFor(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	plain, phone := budi.connect(t, ""), ann.connect(t, "&devices=1")
	ann.login(t) // a device is a login
	laptop := ann.connect(t, "&devices=1&epoch=1")
	phone.send(t, say(budi.id, "from my phone", "once"))
	ack := phone.expect(t, 4)
	sent := laptop.expect(t, 5)
	if sent.Data["to"] != float64(budi.id) || sent.Data["id"] != ack.Data["id"] || sent.Seq == 0 || sent.Epoch == "" {
		t.Errorf("the other device hears %v", sent)
	}
	if f := plain.expect(t, 1); f.Data["id"] != ack.Data["id"] || f.Seq != 0 || f.Epoch != "" {
		t.Errorf("budi hears %v", f)
	}
	// The same ref again stores nothing, and is answered as before.
	phone.send(t, say(budi.id, "from my phone", "once"))
	if again := phone.expect(t, 4); again.Data["id"] != ack.Data["id"] || again.Data["time"] != ack.Data["time"] {
		t.Errorf("the second ack is %v, the first was %v", again.Data, ack.Data)
	}
	phone.send(t, say(budi.id, "next", ""))
	if f := plain.expect(t, 1); f.Data["message"] != "next" {
		t.Errorf("what was sent twice with one ref came twice: %v", f.Data)
	}
}
