package bot_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway/bot"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", new(rig).options())
}

// TestTranscriptsOfSettings are those of a server that is set differently.
func TestTranscriptsOfSettings(t *testing.T) {
	o := new(rig).options()
	o.Places = 1
	o.Accounts.Limits = account.Limits{Logins: account.Limit{N: 1, Per: time.Hour}, WrongPasswords: account.Limit{N: 1, Per: time.Hour}}
	transcript.Run(t, "testdata/settings/limits.txt", o)
}

// rig is a server with the dialect, and what the tests hold of it.
type rig struct {
	// static before the server is built
	hold    time.Duration // how long access holds; 0 is not at all
	timeout time.Duration
	queue   int
	caller  process.Caller

	processes *process.Service
	gateway   *bot.Gateway
}

func (r *rig) options() transcript.Options {
	return transcript.Options{Build: r.build, Words: r.words()}
}

func (r *rig) build(c *transcript.Core) (transcript.Routes, error) {
	key := bytes.Repeat([]byte("key "), 8)
	instances, err := instance.New(instance.Options{Journal: c.Journal, Store: c.Store.Instances(), Key: key})
	if err != nil {
		return transcript.Routes{}, err
	}
	r.processes, err = process.New(process.Options{
		Journal: c.Journal, Store: c.Store.Processes(), Hub: c.Hub, Acked: c.Acked, Accounts: c.Accounts, Chats: c.Chats,
		Instances: instances, Key: key, Caller: r.caller, Timeout: r.timeout, Log: c.Edge.Log,
	})
	if err != nil {
		return transcript.Routes{}, err
	}
	if r.queue == 0 {
		r.queue = 256 << 10
	}
	r.gateway = bot.New(bot.Options{
		Edge: c.Edge, Journal: c.Journal, Accounts: c.Accounts, Processes: r.processes,
		Limits: ws.Limits{MaxMessage: 64 << 10, Queue: r.queue, Pending: 64},
	})
	r.gateway.SetAccessHold(r.hold)
	mux := http.NewServeMux()
	r.gateway.Handle(mux)
	ran := r.processes.Stats().Runs
	return transcript.Routes{
		HTTP: r.gateway.Serve(mux), Find: r.gateway.Find, Close: r.gateway.Close,
		Settle: func(ctx context.Context) (bool, error) {
			err := r.gateway.Idle(ctx)
			before := ran
			ran = r.processes.Stats().Runs
			return ran != before, err
		},
	}, nil
}

// source is a process of the test data.
func source(name string) ([]byte, error) {
	if b, is := process.Examples()[name]; is {
		return b, nil
	}
	return os.ReadFile(filepath.Join("testdata", "bots", name+".yaml"))
}

// publish saves and publishes a process of the test data, under its own name.
func (r *rig) publish(ctx context.Context, name, file string) error {
	b, err := source(file)
	if err != nil {
		return err
	}
	if _, err := r.processes.Save(ctx, name, b); err != nil {
		return err
	}
	_, err = r.processes.Publish(ctx, name, 0)
	return err
}

// access reads "anonymous", "users", or the names of groups.
func access(words []string) (process.Access, error) {
	if len(words) == 1 && (words[0] == "anonymous" || words[0] == "users") {
		return process.ParseAccess(words[0], nil)
	}
	return process.ParseAccess("", words)
}

type word = transcript.Word

// words are what this dialect's transcripts say beside what all can say.
func (r *rig) words() map[string]word {
	all := map[string]word{
		// process chatbot [file]: it is published, from testdata/bots or the examples.
		"process": func(ctx context.Context, _ *transcript.Scene, rest string) error {
			name, file, two := strings.Cut(rest, " ")
			if !two {
				file = name
			}
			return r.publish(ctx, name, file)
		},
		// endpoint /chatbot chatbot users: it is bound to the process, for anonymous, users, or groups.
		"endpoint": func(ctx context.Context, _ *transcript.Scene, rest string) error {
			f := strings.Fields(rest)
			a, err := access(f[2:])
			if err != nil {
				return err
			}
			return r.processes.SetEndpoint(ctx, f[0], process.EndpointSpec{Process: f[1], Access: a})
		},
		// gone /chatbot: the endpoint is taken away.
		"gone": func(ctx context.Context, _ *transcript.Scene, rest string) error {
			return r.processes.DropEndpoint(ctx, rest)
		},
		// deleted chatbot: the process is.
		"deleted": func(ctx context.Context, _ *transcript.Scene, rest string) error {
			return r.processes.Delete(ctx, rest)
		},
		// group staff 1, ungroup staff 1: user 1 is in it, and not any more.
		"group":   member(func(a *account.Service) memberOf { return a.AddToGroup }),
		"ungroup": member(func(a *account.Service) memberOf { return a.RemoveFromGroup }),
	}
	maps.Copy(all, sayings)
	return all
}

// sayings are those that need no process.
var sayings = map[string]word{
	// line text: somebody says it on the feed.
	"line": func(ctx context.Context, s *transcript.Scene, rest string) error {
		_, err := s.Chats.Speak(chat.Speaker{Name: "Somebody"}, rest, journal.Key{}).Wait(ctx)
		return err
	},
	// says 1 2 text: user 1 says it to their friend 2.
	"says": func(ctx context.Context, s *transcript.Scene, rest string) error {
		var from, to uint64
		var text string
		if _, err := fmt.Sscan(rest, &from, &to, &text); err != nil {
			return err
		}
		_, err := s.Chats.Send(chat.Outgoing{From: from, To: to, Text: text}, journal.Key{}).Wait(ctx)
		return err
	},
}

type memberOf = func(ctx context.Context, name string, user uint64) error

func member(of func(*account.Service) memberOf) word {
	return func(ctx context.Context, s *transcript.Scene, rest string) error {
		name, user, _ := strings.Cut(rest, " ")
		id, err := strconv.ParseUint(user, 10, 64)
		if err != nil {
			return err
		}
		return of(s.Accounts)(ctx, name, id)
	}
}
