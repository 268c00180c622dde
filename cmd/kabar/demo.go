package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/config"
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
	_, err = io.WriteString(out, s.guide(ann, budi))
	return err
}

func (s *server) person(ctx context.Context, name, email string) (person, error) {
	_, err := s.accounts.Register(ctx, account.Registration{Email: email, Name: name, Password: demoPassword})
	if err != nil && !errors.Is(err, account.ErrAlreadyRegistered) {
		return person{}, err
	}
	token, u, _, err := s.accounts.Login(ctx, account.LoginRequest{Name: email, Password: demoPassword, Gateway: "direct"})
	return person{u, token}, err
}

// guide is what to open and paste.
func (s *server) guide(ann, budi person) string {
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
	line("direct         http://localhost:5050, person to person")
	line("  a code       curl -s -H 'Authorization: %s' http://localhost:5050/ws/auth", ann.token)
	line("  connect      ws://localhost:5050/ws/connect?auth=<code>   (each code works once)")
	line(`  say          {"type":0,"data":{"to":%d,"message":"Hai!"}}`, budi.ID)
	return b.String()
}
