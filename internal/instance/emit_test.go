package instance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

func TestEmit(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{Names: []string{"order.paid"}})
	i, _ := w.create("a")
	owner := "628@x"
	_, err := w.Update(bg, instance.ByName("a"), instance.Changes{OwnerJid: &owner, ExternalAttributes: json.RawMessage(`{"n":1.0}`)})
	w.ok(err)
	r, err := w.emit(instance.ByName("a"),
		`messages.upsert {"text": "<b> & é"}`,
		`connection.update {"state":"open","statusReason":200}`,
		`order.paid 12345678901234567890.10`,
		`connection.update {"state":"close","statusReason":401}`,
		`messaging-history.set`,
	)
	w.ok(err)
	profile := func(status string) string {
		return fmt.Sprintf(`{"id":%d,"name":"a","connectionStatus":"%s","ownerJid":"628@x","externalAttributes":{"n":1.0}}`, i.ID, status)
	}
	want := []string{
		`{"event":"messages.upsert","instance":` + profile("OFFLINE") + `,"data":{"text":"<b> & é"}}`,
		`{"event":"connection.update","instance":` + profile("ONLINE") + `,"data":{"state":"open","statusReason":200}}`,
		`{"event":"order.paid","instance":` + profile("ONLINE") + `,"data":12345678901234567890.10}`,
		`{"event":"connection.update","instance":` + profile("OFFLINE") + `,"data":{"state":"close","statusReason":401}}`,
		`{"event":"messaging-history.set","instance":` + profile("OFFLINE") + `,"data":null}`,
	}
	ms := w.topic(i.ID)
	if len(ms) != len(want) || len(r.Messages) != len(want) {
		t.Fatalf("said %d, answered %d", len(ms), len(r.Messages))
	}
	for n, m := range ms {
		var d instance.EventData
		w.ok(json.Unmarshal(m.Data, &d))
		if string(m.Data) != want[n] || m.Kind != instance.KindEvent || m.Ends != "" || d.Event != instance.EventName(m.Data) ||
			r.Messages[n].ID != m.ID || m.Seq(instance.Topic(i.ID)) != uint64(n+1) {
			t.Errorf("%d: %+v\n%s\n%s", n, m, m.Data, want[n])
		}
	}
	if got, _ := w.Get(bg, instance.ByName("a")); got.State != "close" || string(got.StatusReason) != "401" || got.LastConnection != 4 || got.LastQRCode != 0 {
		t.Errorf("the instance is %+v", got)
	}
	_, _ = w.create("plain")
	r, err = w.emit(instance.ByName("plain"), "messages.set []")
	if err != nil || !strings.Contains(string(r.Messages[0].Data), `"ownerJid":null,"externalAttributes":null}`) {
		t.Errorf("%s, %v", r.Messages[0].Data, err)
	}
}

func TestEmitRefuses(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, _ := w.create("a")
	ref := instance.ByName("a")
	fine := `connection.update {"state":"open"}`
	for _, c := range []struct {
		code   status.Code
		words  string
		events []string
	}{
		{status.Invalid, "no event", nil},
		{status.TooLarge, "101", slices.Repeat([]string{"messages.set 1"}, 101)},
		{status.Invalid, "messages.upsert", []string{"message.upsert 1"}},
		{status.Invalid, "event 2 of 3", []string{fine, "messages.upsrt 1", fine}},
		{status.Invalid, "no name", []string{" 1"}},
		{status.Invalid, "event 2 of 2: data is not valid JSON", []string{fine, "messages.set {"}},
		{status.Invalid, "JSON", []string{"messages.set 1 2"}},
		{status.Invalid, "JSON", []string{"messages.set NaN"}},
		{status.Invalid, "UTF-8", []string{"messages.set \"\xff\""}},
		{status.Invalid, "JSON", []string{"messages.set " + strings.Repeat("[", 20000)}},
		{status.TooLarge, "65536", []string{`messages.set "` + strings.Repeat("x", 64<<10) + `"`}},
	} {
		_, err := w.emit(ref, c.events...)
		invalid(t, err, c.code, c.words)
	}
	_, err := w.emit(instance.ByName("nobody"), fine)
	w.refused(err, instance.ErrNotFound)
	if got, _ := w.Get(bg, ref); len(w.topic(i.ID)) != 0 || got.State != "" {
		t.Errorf("half a batch was taken: %+v", got)
	}
	_, err = w.emit(ref, slices.Repeat([]string{`messages.set "` + strings.Repeat("x", 64<<10-2) + `"`}, 100)...)
	w.ok(err)
	if n := len(w.topic(i.ID)); n != 100 {
		t.Errorf("%d of the most that is allowed", n)
	}
}

func TestEmitOnce(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, instance.Options{})
	i, _ := w.create("a")
	key := journal.Key{Scope: "x", Ref: "1"}
	first, err := w.Emit(instance.ByID(i.ID), parse("messages.set 1", "messages.set 2"), key).Wait(bg)
	w.ok(err)
	for range 2 {
		again, err := w.Emit(instance.ByID(i.ID), parse("messages.set 1", "messages.set 2"), key).Wait(bg)
		if err != nil || !again.Repeated || len(again.Messages) != 2 || again.Messages[1].ID != first.Messages[1].ID {
			t.Errorf("again: %+v, %v", again, err)
		}
		w.stop()
		w = start(t, folder, instance.Options{})
	}
	if n := len(w.topic(i.ID)); n != 2 {
		t.Errorf("said %d", n)
	}
}

func TestEmitKeepsNothingOfTheCaller(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, _ := w.create("a")
	data := []byte(`{"state":"open","statusReason":200}`)
	p := w.Emit(instance.ByID(i.ID), []instance.Event{{Name: "connection.update", Data: data}}, journal.Key{})
	copy(data, strings.Repeat("#", len(data)))
	_, err := p.Wait(bg)
	w.ok(err)
	if got, _ := w.Get(bg, instance.ByID(i.ID)); got.State != "open" || string(got.StatusReason) != "200" || strings.Contains(string(w.topic(i.ID)[0].Data), "#") {
		t.Errorf("%+v", got)
	}
}

// TestOrder has many emit at once: each batch stays together, and the row says
// what was said last.
func TestOrder(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, _ := w.create("a")
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 10 {
				data := fmt.Sprintf(`{"state":"%d.%d"}`, g, n)
				if _, err := w.emit(instance.ByID(i.ID), "connection.update "+data, "qrcode.updated "+data, "call.upsert "+data); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	ms := w.topic(i.ID)
	if len(ms) != 240 {
		t.Fatalf("said %d", len(ms))
	}
	var last string
	for n := 0; n < len(ms); n += 3 {
		_, last, _ = strings.Cut(string(ms[n].Data), `"data":`)
		for k, name := range []string{"connection.update", "qrcode.updated", "call.upsert"} {
			if m := ms[n+k]; instance.EventName(m.Data) != name || !strings.HasSuffix(string(m.Data), last) {
				t.Fatalf("%d: %s", n+k, m.Data)
			}
		}
	}
	got, err := w.Get(bg, instance.ByID(i.ID))
	if err != nil || got.LastConnection != 238 || got.LastQRCode != 239 || last != `{"state":"`+got.State+`"}}` {
		t.Errorf("the row says %+v after %s, %v", got, last, err)
	}
}

func TestState(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, instance.Options{})
	i, _ := w.create("a")
	ref := instance.ByID(i.ID)
	said := func() (out []string) {
		t.Helper()
		ms, err := w.State(bg, ref)
		w.ok(err)
		for _, m := range ms {
			_, data, _ := strings.Cut(string(m.Data), `"data":`)
			out = append(out, fmt.Sprint(m.Seq(instance.Topic(i.ID)), " ", instance.EventName(m.Data), " ", strings.TrimSuffix(data, "}")))
		}
		return out
	}
	if got := said(); got != nil {
		t.Errorf("before anything: %v", got)
	}
	_, err := w.emit(ref, "qrcode.updated 1", "messages.set 2", "qrcode.updated 3")
	w.ok(err)
	if got := said(); !slices.Equal(got, []string{"3 qrcode.updated 3"}) {
		t.Error(got)
	}
	_, err = w.emit(ref, "connection.update 4", "messages.set 5")
	w.ok(err)
	if got := said(); !slices.Equal(got, []string{"3 qrcode.updated 3", "4 connection.update 4"}) {
		t.Error(got)
	}
	_, err = w.emit(ref, "qrcode.updated 6")
	w.ok(err)
	w.stop()
	w = start(t, folder, instance.Options{})
	if got := said(); !slices.Equal(got, []string{"4 connection.update 4", "6 qrcode.updated 6"}) {
		t.Error(got)
	}
	_, err = w.Delete(bg, ref)
	w.ok(err)
	_, err = w.State(bg, ref)
	w.refused(err, instance.ErrNotFound)
}

// TestStateMeanwhile asks while events are being committed.
func TestStateMeanwhile(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, _ := w.create("a")
	ref := instance.ByID(i.ID)
	done := make(chan error, 1)
	go func() {
		var last error
		for n := range 300 {
			_, err := w.Emit(ref, parse(fmt.Sprintf("connection.update %d", n)), journal.Key{}).Wait(bg)
			if err != nil {
				last = err
			}
		}
		done <- last
	}()
	for asked, newest := 0, uint64(0); ; asked++ {
		select {
		case err := <-done:
			w.ok(err)
			return
		default:
		}
		ms, err := w.State(bg, ref)
		if err != nil || newest > 0 && len(ms) != 1 {
			t.Fatalf("%v, %v", ms, err)
		}
		if len(ms) == 1 {
			seq := ms[0].Seq(instance.Topic(i.ID))
			if seq < newest {
				t.Fatalf("%d after %d", seq, newest)
			}
			newest = seq
		}
	}
}

// TestStateOfNothing has a row that names a message which never comes.
func TestStateOfNothing(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, _ := w.create("a")
	_, err := w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		rows := w.store.Instances().In(tx)
		row, _, err := rows.Instance(bg, i.ID)
		row.LastQRCode = 9
		return nil, errors.Join(err, rows.SetInstance(bg, row))
	})).Wait(bg)
	w.ok(err)
	if ms, err := w.State(bg, instance.ByID(i.ID)); err == nil || status.Of(err).Code != status.Internal {
		t.Errorf("%v, %v", ms, err)
	}
}

func TestEventName(t *testing.T) {
	for data, want := range map[string]string{
		`{"event":"a.b","instance":{}}`: "a.b", `{"event":"a.b`: "", `{"token":3}`: "", ``: "", `{"event":"`: "",
	} {
		if got := instance.EventName([]byte(data)); got != want {
			t.Errorf("%s: %q", data, got)
		}
	}
}

func BenchmarkEmit(b *testing.B) {
	w := start(b, b.TempDir(), instance.Options{})
	i, _ := w.create("a")
	events := parse(`messages.upsert {"key":{"id":"ABCD","remoteJid":"628@s.whatsapp.net"},"message":{"conversation":"hello"}}`)
	p := make(chan *journal.Pending, 1000)
	go func() {
		defer close(p)
		for range b.N {
			p <- w.Emit(instance.ByID(i.ID), events, journal.Key{})
		}
	}()
	for one := range p {
		if _, err := one.Wait(bg); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEmitIn sees events as a part of another change: with all of it, or not at all.
func TestEmitIn(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{All: true})
	i, token := w.create("a")
	ref := instance.ByName("a")
	other := journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Kind: "x", Entries: journal.To("x"), Data: []byte("{}")}}, nil
	})
	r, err := w.journal.Do(journal.All(w.EmitIn(ref, parse("messages.set 1", `connection.update {"state":"open"}`)), other,
		w.EmitIn(ref, parse("messages.set 2", `qrcode.updated 3`)))).Wait(bg)
	w.ok(err)
	if len(r.Messages) != 5 || r.Messages[2].Kind != "x" || r.Messages[4].Seq(instance.Topic(i.ID)) != 4 || r.Messages[4].Seq(instance.AllTopic) != 4 {
		t.Errorf("said %+v", r.Messages)
	}
	if got, err := w.Get(bg, ref); err != nil || got.State != "open" || got.LastConnection != 2 || got.LastQRCode != 4 {
		t.Errorf("it is %+v, %v", got, err)
	}
	for _, bad := range []journal.Change{w.EmitIn(ref, parse("messages.st 1")), w.EmitIn(instance.ByName("b"), parse("messages.set 1")), w.EmitIn(ref, nil)} {
		if _, err := w.journal.Do(journal.All(other, bad)).Wait(bg); status.Of(err) == nil || status.Of(err).Code == status.Internal {
			t.Errorf("half of it: %v", err)
		}
	}
	if ms, err := w.journal.Read(bg, "x", 0, 9); err != nil || len(ms) != 1 {
		t.Errorf("half of it is said: %+v, %v", ms, err)
	}
	// What the server says itself is heard by all, and the end is its own.
	_, err = w.RefreshToken(bg, ref, token.Text)
	w.ok(err)
	_, err = w.Delete(bg, ref)
	w.ok(err)
	ms, err := w.journal.Read(bg, instance.AllTopic, 0, 99)
	if err != nil || len(ms) != 5 || instance.EventName(ms[4].Data) != "refresh.token" || len(w.topic(i.ID)) != 6 {
		t.Errorf("all: %+v, %v", ms, err)
	}
}

// TestGetIn sees that what rests on an instance is refused from its end on.
func TestGetIn(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, token := w.create("a")
	a, err := w.Authenticate(bg, token.Text)
	w.ok(err)
	get := func() (got instance.Instance, err error) {
		_, err = w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			got, err = w.GetIn(tx, a.Ref())
			return nil, err
		})).Wait(bg)
		return got, err
	}
	if got, err := get(); err != nil || got.ID != i.ID {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.Delete(bg, instance.ByID(i.ID))
	w.ok(err)
	_, err = get()
	w.refused(err, instance.ErrTokenEnded)
}

// TestTheServersOwn sees that what the server alone says is refused from
// others, and heard by who asked for it only.
func TestTheServersOwn(t *testing.T) {
	var made []string
	w := start(t, t.TempDir(), instance.Options{All: true, Names: []string{"user.online"}, Made: func(name string) { made = append(made, name) }})
	i, _ := w.create("a")
	if _, _, err := w.Create(bg, instance.Spec{Name: "a"}); err == nil || len(made) != 1 || made[0] != "a" {
		t.Errorf("made %q, %v", made, err)
	}
	for _, name := range []string{"user.online", "user.offline", "topic.occupied", "topic.vacated", "session.closed"} {
		_, err := w.emit(instance.ByID(i.ID), name+" 1")
		invalid(t, err, status.Invalid, name, "the server alone")
		if err := errors.Join(w.Names().Check(name), w.Names().CheckHeard(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	say := func(ref instance.Ref) error {
		_, err := w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			return w.SayIn(tx, ref, parse("user.online 1", "user.offline 2"))
		})).Wait(bg)
		return err
	}
	w.ok(say(instance.ByID(i.ID)))
	ms := w.topic(i.ID)
	if len(ms) != 2 || instance.EventName(ms[1].Data) != "user.offline" || len(ms[1].Entries) != 1 {
		t.Errorf("%+v", ms)
	}
	w.refused(say(instance.ByName("b")), instance.ErrNotFound)
}

func TestAppendEvent(t *testing.T) {
	m := &journal.Message{ID: "a1-b2", Kind: instance.KindEvent, Time: time.Date(2026, 1, 2, 3, 4, 5, 678_912_345, time.UTC), Data: []byte(`{"event":"x","data":1}`)}
	const head = `before{"event":"x","data":1,"id":"a1-b2","seq":12,`
	for epoch, want := range map[string]string{"": head, "e9": head + `"epoch":"e9",`} {
		if got := instance.AppendEvent([]byte("before"), m, 12, epoch); string(got) != want+`"timestamp":"2026-01-02T03:04:05.678Z"}` {
			t.Errorf("epoch %q: %s", epoch, got)
		}
	}
	if string(m.Data) != `{"event":"x","data":1}` {
		t.Error("the message was changed")
	}
}
