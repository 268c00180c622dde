package transcript

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a gateway for these tests: what anybody says is a notice to user 1,
// and everybody hears those.
type echo struct {
	gateway.Socket
	c *Core
}

func (s *echo) OnMessage(t *ws.Turn, c *ws.Conn, k ws.Kind, p []byte) {
	switch string(p) {
	case "back":
		t.Reply(k, p)
	case "end":
		c.Close(4001, "asked for")
	default:
		s.c.Accounts.Notify(1, string(p), journal.Key{})
	}
}

func options() Options {
	return Options{
		Words: map[string]func(context.Context, *Scene, string) error{
			"register": func(ctx context.Context, s *Scene, rest string) error {
				_, err := s.Accounts.Register(ctx, account.Registration{Email: rest + "@example.org", Name: rest, Password: "12345678"})
				s.Set("name", rest)
				return err
			},
		},
		Build: func(c *Core) (Routes, error) {
			mux := http.NewServeMux()
			mux.HandleFunc("POST /body", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Had", r.Header.Get("X-Has"))
				b, _ := io.ReadAll(r.Body)
				gateway.WriteJSON(w, 201, map[string]string{"token": string(b)})
			})
			mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "id: 1\ndata: {}\n\ndata: 2\n\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			accept := func(r *ws.Request, conn *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
				if r.RawQuery != "" {
					return nil, nil, &ws.Refusal{Status: 410, Body: []byte("gone")}
				}
				s := &echo{c: c}
				s.Session = hub.Session{Format: format{}, Topic: account.Inbox(1)}
				if err := s.Open(context.Background(), c.Edge, conn, gateway.Way{}); err != nil {
					return nil, nil, &ws.Refusal{Status: 500}
				}
				return s, nil, nil
			}
			return Routes{HTTP: mux, Sockets: map[string]ws.Acceptor{"/ws": accept}}, nil
		},
	}
}

// format writes a message as JSON.
type format struct{}

func (format) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	return ws.AppendText(dst, []byte(`{"id":"`+m.ID+`","said":`+string(m.Data)+`}`))
}

//nolint:dupword // one line ends with a name, the next begins with it
const bare = `Prose: it may say ann< anything.

	register ann
	ann has X-Has: 7
	ann: POST /body [X-More: $name] x-1
	-> [X-Had: ]
	ann: connect /ws
	bob: connect /ws
	ann> hi
	bob: send "two\nlines"
	ann> back
	ann: binary "back"
	bob> end
	bob: connect /ws
	ann: close 1000 bye
	bob: drop
	cat: connect /ws?x
	dan: stream /stream
	dan< ?
	dan< ?
	later 1h
`

//nolint:dupword // one line ends with a name, the next begins with it
const full = `Prose: it may say ann< anything.

	register ann
	ann has X-Has: 7
	ann: POST /body [X-More: $name] x-1
	-> 201 {"token":"$token1"}
	ann: connect /ws
	bob: connect /ws
	ann> hi
	ann< {"id":"$id1","said":{"text":"hi"}}
	bob< {"id":"$id1","said":{"text":"hi"}}
	bob: send "two\nlines"
	ann< {"id":"$id2","said":{"text":"two\nlines"}}
	bob< {"id":"$id2","said":{"text":"two\nlines"}}
	ann> back
	ann< back
	ann: binary "back"
	ann< binary "back"
	bob> end
	bob! close 4001 asked for
	bob: connect /ws
	ann: close 1000 bye
	bob: drop
	cat: connect /ws?x
	cat! 410 gone
	dan: stream /stream
	dan< id: 1 ⏎ data: {}
	dan< data: 2
	later 1h
`

func write(t *testing.T, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "x.txt")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestUpdateWritesWhatCame(t *testing.T) {
	o := options()
	name := write(t, bare)
	if failures, err := play(t.Context(), Start(t, o), o, name, true); failures != nil || err != nil {
		t.Fatal(failures, err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != full {
		t.Fatalf("%s\n%v", b, err)
	}
	if failures, err := play(t.Context(), Start(t, o), o, name, false); failures != nil || err != nil {
		t.Fatal(failures, err)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	o := options()
	for _, c := range []struct{ was, is, want string }{
		{`	-> 201 {"token":"$token1"}`, `	-> 201 [X-Had: 8] {"token":"$token1"}`, `:6: want -> 201 [X-Had: 8] {"token":"$token1"} got -> 201 [X-Had: 7] {"token":"$token2"}`},
		{`	bob< {"id":"$id1"`, `	bob< {"id":"$id3"`, `:11: want bob< {"id":"$id3","said":{"text":"hi"}} got bob< {"id":"$id1","said":{"text":"hi"}}`},
		{`	ann< {"id":"$id2"`, `	ann< {"id":"$id1"`, `:13: want ann< {"id":"$id1","said":{"text":"two\nlines"}} got ann< {"id":"$id3","said":{"text":"two\nlines"}}`},
		{`	bob< {"id":"$id1"`, `	bob< {"id":"$time1"`, `:11: want bob< {"id":"$time1","said":{"text":"hi"}} got bob< {"id":"$id1","said":{"text":"hi"}}`},
		{"	ann< back\n", "", `:15: want nothing more got ann< back`},
		{"	bob! close 4001 asked for\n", "", `:19: want nothing more got bob! close 4001 asked for`},
		{"	ann> back\n", "	ann> back $nothing\n", `:15: nothing is known as $nothing here`},
		{"	later 1h\n", "	latter 1h\n", `:29: no line of a transcript begins like this`},
		{"	ann: close 1000 bye\n", "	ann: connect /ws\n", `:22: ann is connected already`},
		{"	bob: drop\n", "	eva: drop\n", `:23: eva is not connected`},
		{"	register ann\n", "	-> 200\n", `:3: nothing was done yet`},
	} {
		text := strings.Replace(full, c.was, c.is, 1)
		if text == full {
			t.Fatalf("%q is not in it", c.was)
		}
		name := write(t, text)
		failures, err := play(t.Context(), Start(t, o), o, name, false)
		got := strings.Join(failures, "\n")
		if err != nil {
			got = err.Error()
		}
		got = strings.Join(strings.Fields(strings.TrimPrefix(got, name)), " ")
		if got != c.want && !strings.HasPrefix(got, c.want+" ") {
			t.Errorf("want %s\n got %s", c.want, got)
		}
	}
}
