package transcript

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// Word is a line of a transcript that is not somebody's: what to do with the
// rest of it.
type Word = func(ctx context.Context, s *Scene, rest string) error

// Password is that of everybody whom "people" registers.
const Password = "12345678"

// common are the words of all transcripts; a dialect's own of the same name
// come first.
var common = map[string]Word{
	// people ann bob: they are registered and logged in; $ann and $bob are their tokens.
	"people": func(ctx context.Context, s *Scene, rest string) error {
		for _, name := range strings.Fields(rest) {
			r := account.Registration{Email: name + "@example.org", Name: name, Password: Password}
			if _, err := s.Accounts.Register(ctx, r); err != nil {
				return err
			}
			if err := login(ctx, s, name, name); err != nil {
				return err
			}
		}
		return nil
	},
	// login phone ann: ann logs in once more, with the token $phone.
	"login": func(ctx context.Context, s *Scene, rest string) error {
		token, name, _ := strings.Cut(rest, " ")
		return login(ctx, s, token, name)
	},
	// friends 1 2: they are, by 1's request.
	"friends": func(ctx context.Context, s *Scene, rest string) error {
		n, _, err := Numbers(rest, 2)
		if err != nil {
			return err
		}
		if _, err := s.Chats.Request(ctx, n[0], n[1]); err != nil {
			return err
		}
		return s.Chats.Accept(ctx, n[1], n[0])
	},
	// notice 1 text, notice all text: the server says it.
	"notice": func(ctx context.Context, s *Scene, rest string) error {
		if text, all := strings.CutPrefix(rest, "all "); all {
			_, err := s.Accounts.NotifyAll(text, journal.Key{}).Wait(ctx)
			return err
		}
		n, text, err := Numbers(rest, 1)
		if err != nil {
			return err
		}
		_, err = s.Accounts.Notify(n[0], text, journal.Key{}).Wait(ctx)
		return err
	},
	// suspend 1: the account is closed.
	"suspend": func(ctx context.Context, s *Scene, rest string) error {
		n, _, err := Numbers(rest, 1)
		if err != nil {
			return err
		}
		return s.Accounts.Suspend(ctx, n[0])
	},
	// long 801: $long is a text of so many bytes.
	"long": func(_ context.Context, s *Scene, rest string) error {
		n, _, err := Numbers(rest, 1)
		if err == nil {
			s.Set("long", strings.Repeat("x", int(n[0])))
		}
		return err
	},
	// epoch: $epoch is the log's.
	"epoch": func(_ context.Context, s *Scene, _ string) error {
		s.Set("epoch", s.Journal.Epoch())
		return nil
	},
}

func login(ctx context.Context, s *Scene, token, name string) error {
	t, _, _, err := s.Accounts.Login(ctx, account.LoginRequest{Name: name, Password: Password, Gateway: "test"})
	s.Set(token, t)
	return err
}

// Numbers reads n numbers, and what stands behind them.
func Numbers(text string, n int) (out []uint64, rest string, err error) {
	for range n {
		var word string
		word, text, _ = strings.Cut(text, " ")
		i, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("%d numbers are needed: %w", n, err)
		}
		out = append(out, i)
	}
	return out, text, nil
}
