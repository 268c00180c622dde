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

// demoPassword opens the demo's accounts.
const demoPassword = "kabar-demo"

// Run serves with something to play with.
func (c *demoCmd) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Data == "" {
		if c.Data, err = os.MkdirTemp("", "kabar-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.Data)) }()
	}
	s, err := open(context.WithoutCancel(ctx), &c.Config, true)
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

// play makes what there is to play with, prints how, and keeps it moving.
func (s *server) play(ctx context.Context, out io.Writer) error {
	all, err := s.people(ctx)
	if err != nil {
		return err
	}
	if err := s.lives(ctx, all); err != nil {
		return err
	}
	if err := s.bind(ctx); err != nil {
		return err
	}
	token, err := s.instance(ctx)
	if err != nil {
		return err
	}
	if err := s.hook(ctx); err != nil {
		return err
	}
	if _, err = io.WriteString(out, s.guide(all, token)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var talking sync.WaitGroup
	talking.Go(func() { s.chatter(ctx, all.ann, all.budi) })
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
