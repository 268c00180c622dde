package main

import (
	"context"
	"errors"
	"regexp"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
)

// person is one of the demo's people.
type person struct {
	account.User
	token string
}

// people are those who live in the demo.
type people struct{ ann, budi, cici person }

func (s *server) people(ctx context.Context) (all people, err error) {
	for _, p := range []struct {
		name string
		is   *person
	}{{"ann", &all.ann}, {"budi", &all.budi}, {"cici", &all.cici}} {
		if *p.is, err = s.person(ctx, p.name, p.name+"@example.com"); err != nil {
			return all, err
		}
	}
	return all, nil
}

// person is an account with a login, made where it is not there yet.
func (s *server) person(ctx context.Context, name, email string) (person, error) {
	_, err := s.accounts.Register(ctx, account.Registration{Email: email, Name: name, Password: demoPassword})
	if err != nil && !errors.Is(err, account.ErrAlreadyRegistered) {
		return person{}, err
	}
	if err == nil {
		if err := s.prove(ctx, email); err != nil {
			return person{}, err
		}
	}
	token, u, _, err := s.accounts.Login(ctx, account.LoginRequest{Name: email, Password: demoPassword, Gateway: "direct"})
	return person{u, token}, err
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// prove proves the address of a new account, as its owner would. The first
// proof takes away what was there before it: without this, whoever tries a
// mailed code would end the login and drop the password that the guide prints.
func (s *server) prove(ctx context.Context, email string) error {
	if s.mailbox == nil { // mails really leave: the address is not ours to prove
		return nil
	}
	if _, err := s.accounts.MailCode(ctx, account.CodeRequest{Email: email}); err != nil {
		return err
	}
	code := ""
	for _, m := range s.mailbox.Messages() {
		if m.To == email {
			code = sixDigits.FindString(m.Text)
			break
		}
	}
	_, _, l, _, err := s.accounts.LoginByCode(ctx, account.CodeLogin{Email: email, Code: code, Gateway: "demo"})
	if err != nil {
		return err
	}
	if err := s.accounts.SetPassword(ctx, l, "", demoPassword); err != nil {
		return err
	}
	return s.accounts.Logout(ctx, l)
}

// demoPost is the id that the document of relay likes.
const demoPost = "pm2yig6go"

// lives makes the people friends, and gives them something to talk about. What
// is there from an earlier start is left as it is.
func (s *server) lives(ctx context.Context, all people) error {
	for _, ask := range [][2]uint64{{all.ann.ID, all.budi.ID}, {all.budi.ID, all.ann.ID}, {all.ann.ID, all.cici.ID}, {all.cici.ID, all.ann.ID}} {
		_, err := s.chats.Request(ctx, ask[0], ask[1])
		if err != nil && !errors.Is(err, chat.ErrAlreadyFriend) && !errors.Is(err, chat.ErrAlreadyRequested) {
			return err
		}
	}
	if err := s.accounts.AddToGroup(ctx, account.GroupAdmins, all.ann.ID); err != nil {
		return err
	}
	if _, err := s.chats.SeedPost(ctx, demoPost, all.budi.ID, "Warung buka lagi besok pagi. Siapa mau kopi?"); err != nil {
		return err
	}
	return s.warung(ctx, all)
}

// demoGroup is the group that all of them are in.
const demoGroup = "Warung"

func (s *server) warung(ctx context.Context, all people) error {
	chats, err := s.chats.Overview(ctx, all.ann.ID, 1)
	if err != nil {
		return err
	}
	for _, c := range chats {
		if c.Group != nil && c.Group.Name == demoGroup {
			return nil
		}
	}
	g, err := s.chats.CreateGroup(ctx, all.ann.ID, demoGroup)
	if err != nil {
		return err
	}
	for _, p := range []person{all.budi, all.cici} {
		if _, err := s.chats.Join(ctx, p.ID, g.ID, g.Link); err != nil {
			return err
		}
	}
	for _, said := range []struct {
		by   person
		text string
	}{
		{all.ann, "Selamat datang di Warung!"},
		{all.budi, "Terima kasih, Ann. Kopinya masih ada?"},
		{all.cici, "There is always coffee here."},
	} {
		_, err := s.chats.Send(chat.Outgoing{From: said.by.ID, Group: g.ID, Text: said.text}, journal.Key{}).Wait(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// bind publishes the example processes, which bring their endpoints.
func (s *server) bind(ctx context.Context) error {
	for name, source := range process.Examples() {
		d, faults := process.Check(source)
		if len(faults) > 0 {
			return &process.FaultsError{Faults: faults}
		}
		if info, err := s.processes.Get(ctx, name, 0); err == nil && info.Published != 0 {
			continue // of an earlier start, perhaps changed since
		}
		if err := s.publishProcess(ctx, d, source); err != nil {
			return err
		}
	}
	return nil
}
