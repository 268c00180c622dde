package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

type demoCmd struct {
	config.Config `embed:""`
}

// Defaults are what the demo has other than serve.
func (demoCmd) Defaults() map[string]string { return config.DemoDefaults() }

// demoPassword opens the demo's two accounts.
const demoPassword = "kabar-demo"

// Run serves with something to play with.
func (c *demoCmd) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Data == "" {
		if c.Data, err = os.MkdirTemp("", "kabar-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.Data)) }()
	}
	s, err := open(ctx, &c.Config, true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	playing := make(chan error, 1)
	go func() {
		err := s.play(ctx, out)
		if err != nil && ctx.Err() == nil {
			cancel()
		} else {
			err = nil
		}
		playing <- err
	}()
	err = s.run(ctx)
	cancel()
	return errors.Join(err, <-playing)
}

// person is one of the demo's two people.
type person struct {
	account.User
	token string
}

// play makes what there is to play with, prints how, and keeps it moving.
func (s *server) play(ctx context.Context, out io.Writer) error {
	ann, err := s.person(ctx, "ann", "ann@example.com")
	if err != nil {
		return err
	}
	budi, err := s.person(ctx, "budi", "budi@example.com")
	if err != nil {
		return err
	}
	for _, ask := range [][2]uint64{{ann.ID, budi.ID}, {budi.ID, ann.ID}} {
		if _, err := s.chats.Request(ctx, ask[0], ask[1]); err != nil && !errors.Is(err, chat.ErrAlreadyFriend) {
			return err
		}
	}
	token, err := s.instance(ctx)
	if err != nil {
		return err
	}
	if _, err = io.WriteString(out, s.guide(ann, budi, token)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var talking sync.WaitGroup
	talking.Go(func() { s.chatter(ctx, ann, budi) })
	defer talking.Wait()
	defer stop()
	return s.produce(ctx)
}

// demoInstance is the name of the demo's source of events.
const demoInstance = "demo"

// instance makes the demo's source of events anew: a token is shown only when
// it is made.
func (s *server) instance(ctx context.Context) (string, error) {
	_, err := s.instances.Delete(ctx, instance.ByName(demoInstance))
	if err != nil && !errors.Is(err, instance.ErrNotFound) {
		return "", err
	}
	_, token, err := s.instances.Create(ctx, instance.Spec{Name: demoInstance, Description: "an event every few seconds"})
	return token.Text, err
}

// produce lets the instance have events.
func (s *server) produce(ctx context.Context) error {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		e := demoEvents[i%len(demoEvents)]
		data := fmt.Sprintf(e.data, i+1)
		_, err := s.instances.Emit(instance.ByName(demoInstance), []instance.Event{{Name: e.name, Data: json.RawMessage(data)}}, journal.Key{}).Wait(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, instance.ErrNotFound): // somebody tried deleting
		case err != nil:
			s.log.Warn("the demo's event was not stored", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// demoEvents are what the demo's instance has in turn.
var demoEvents = []struct{ name, data string }{
	{"qrcode.updated", `{"count":%d,"code":"2@demo"}`},
	{"connection.update", `{"state":"open","statusReason":200,"count":%d}`},
	{"messages.upsert", `{"key":"demo-%d","from":"ann","text":"Hai!"}`},
	{"messages.upsert", `{"key":"demo-%d","from":"budi","text":"Halo, Ann!"}`},
	{"messages.update", `{"key":"demo-%d","status":"READ"}`},
	{"connection.update", `{"state":"close","statusReason":408,"count":%d}`},
}

// chatter lets the two talk on the feed, now and then.
func (s *server) chatter(ctx context.Context, people ...person) {
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		by := people[i%len(people)]
		_, err := s.chats.Speak(chat.Speaker{User: by.ID, Name: by.Display}, demoLines[i%len(demoLines)], journal.Key{}).Wait(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("the demo's line was not stored", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// demoLines are what the two say on the feed in turn.
var demoLines = []string{
	"Halo semua! Ada kabar apa hari ini?",
	"Kabar baik. Selamat datang di siaran ini.",
	"Everybody who is connected sees this line at the same moment.",
	"And whoever was away for a while gets what was missed.",
	"Coba buka halaman ini di dua jendela, lalu tulis sesuatu.",
	"Say something, we are listening!",
}

func (s *server) person(ctx context.Context, name, email string) (person, error) {
	_, err := s.accounts.Register(ctx, account.Registration{Email: email, Name: name, Password: demoPassword})
	if err != nil && !errors.Is(err, account.ErrAlreadyRegistered) {
		return person{}, err
	}
	token, u, _, err := s.accounts.Login(ctx, account.LoginRequest{Name: email, Password: demoPassword, Gateway: "direct"})
	return person{u, token}, err
}

// at is where to reach the server: on the port that the documents name, or
// else on the first it has.
func (s *server) at(port string) string {
	first := ""
	for _, l := range s.listeners {
		host, p, _ := net.SplitHostPort(l.Addr().String())
		if p == port {
			return "localhost:" + p
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		if first == "" {
			first = net.JoinHostPort(host, p)
		}
	}
	return first
}

// self is how whoever started this program starts it again.
func self() string {
	path, err := os.Executable()
	if err != nil || strings.Contains(path, "go-build") { // by go run, which will have removed it
		return "go run ./cmd/kabar"
	}
	return path
}

// guide is what to open and paste.
func (s *server) guide(ann, budi person, token string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("Kabar %s is running. Everything is in %s. Stop with Ctrl-C.", version, s.c.Data)
	line("")
	line("People         password %s", demoPassword)
	for _, p := range []person{ann, budi} {
		line("  %-4s  id %d  %s", p.Display, p.ID, p.Email)
		line("        token  %s", p.token)
	}
	line("")
	direct := s.at("5050")
	line("direct         http://%s, person to person; what has a ref is acknowledged", direct)
	line("  a code       curl -s -H 'Authorization: %s' http://%s/ws/auth", ann.token, direct)
	line("  connect      ws://%s/ws/connect?auth=<code>   (each code works once)", direct)
	line(`  say          {"type":0,"ref":"1","data":{"to":%d,"message":"Hai!"}}`, budi.ID)
	for _, p := range []person{ann, budi} {
		line(`  as %-9s npx wscat -c "ws://%s/ws/connect?auth=$(curl -s -H 'Authorization: %s' http://%s/ws/auth | cut -d'"' -f14)"`, p.Display, direct, p.token, direct)
	}
	line("")
	stream := s.at("3000")
	line("feed           http://%s/, a page to open in several tabs", stream)
	line("  connect      ws://%s/websocket   each frame is a line; what is sent goes to everybody else", stream)
	line("  by hand      npx wscat -c 'ws://%s/websocket?last=5'", stream)
	line("  publish      %s publish --url http://%s --admin-key %s feed 'Halo semua!'", self(), s.at("8080"), s.adminKey)
	line("")
	events := s.at("8084")
	line("events         the instance %q has an event every three seconds", demoInstance)
	line("  token        %s", token)
	line("  subscribe    ws://%s/ws/events?event=messages.upsert&token=%s", events, token)
	line("  as a stream  curl -sN -H 'Accept: text/event-stream' 'http://%s/ws/events?event=*&token=%s'", events, token)
	line(`  an event     curl -s -H 'Authorization: Bearer %s' -d '{"event":"messages.upsert","data":{"text":"Hai!"}}' http://%s/v1/instances/%s/events`, token, events, demoInstance)
	line("")
	line("Administrator  apikey: %s", s.adminKey)
	line("  a notice     curl -s -H 'apikey: %s' -d '{\"users\":\"all\",\"message\":\"Halo semua!\"}' http://%s/v1/publish", s.adminKey, s.at("8080"))
	return b.String()
}
