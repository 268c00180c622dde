package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A person is an account of the direct gateway, with a login.
type person struct {
	id    uint64
	token string
}

// people are pairs of friends (0 and 1, 2 and 3, …), and the data folder of a
// server that knows them. It is made once, and copied for each run: making it is
// slow, since a password's hash is meant to be.
type people struct {
	folder string
	all    []person
}

// people makes them at the first call.
func (b *bench) people(ctx context.Context) (*people, error) {
	if b.friends != nil {
		return b.friends, nil
	}
	n := 200
	if b.quick {
		n = 64
	}
	dir, err := b.fresh()
	if err != nil {
		return nil, err
	}
	s, err := b.start(ctx, "kabar", setup{dir: dir, free: true})
	if err != nil {
		return nil, err
	}
	defer s.stop()
	b.say("making %d people", n)
	p := &people{folder: dir, all: make([]person, n)}
	err = each(n, func(i int) (err error) {
		p.all[i], err = s.register(ctx, i)
		return err
	})
	if err == nil {
		err = each(n/2, func(i int) error {
			one, other := p.all[2*i], p.all[2*i+1]
			return errors.Join(
				s.call(ctx, "POST", "/api/friends/request", one.token, map[string]any{"friend_id": other.id}, nil),
				s.call(ctx, "POST", "/api/friends/accept", other.token, map[string]any{"friend_id": one.id}, nil))
		})
	}
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("making people: %w", err)
	}
	b.friends = p
	return p, nil
}

// each calls f for 0 to n-1, four at once.
func each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *server) register(ctx context.Context, i int) (p person, err error) {
	name := fmt.Sprintf("person%d", i)
	known := map[string]any{"email": name + "@example.com", "username": name, "password": "one of many people"}
	var login struct{ Data struct{ Token string } }
	var me struct{ Data struct{ ID uint64 } }
	err = s.call(ctx, "POST", "/api/register", "", known, nil)
	if err == nil {
		err = s.call(ctx, "POST", "/api/login", "", known, &login)
	}
	if err == nil {
		err = s.call(ctx, "GET", "/api/user", login.Data.Token, nil, &me)
	}
	return person{me.Data.ID, login.Data.Token}, err
}

// call is one request to the product, in and out as JSON.
func (s *server) call(ctx context.Context, method, path, token string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.address()+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// code is a one-time code of a person, as the path of a connection.
func (s *server) code(ctx context.Context, p person) (string, error) {
	var auth struct {
		Data struct {
			Code string `json:"websocketAuthCode"`
		}
	}
	err := s.call(ctx, "GET", "/ws/auth", p.token, nil, &auth)
	return "/ws/connect?auth=" + auth.Data.Code, err
}

// among runs f with a product that knows the people.
func (b *bench) among(ctx context.Context, f func(s *server, p *people) (Values, error)) (Values, error) {
	p, err := b.people(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := b.fresh()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(p.folder)); err != nil {
		return nil, err
	}
	s, err := b.start(ctx, "kabar", setup{dir: dir})
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return f(s, p)
}

// withPaths runs the load with a path for each of n connections.
func (b *bench) withPaths(ctx context.Context, s *server, n int, path func(i int) (string, error), args []string) (Values, error) {
	lines := make([]string, n)
	err := each(n, func(i int) (err error) {
		lines[i], err = path(i)
		return err
	})
	file := filepath.Join(b.tmp, "paths")
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	http.DefaultClient.CloseIdleConnections()
	return b.load(ctx, s, append(args, "--n", strconv.Itoa(n), "--paths", file)...)
}

// pairs have everybody write to their friend.
func pairs(ctx context.Context, b *bench, j job, _ string) (Values, error) {
	return b.among(ctx, func(s *server, p *people) (Values, error) {
		return b.withPaths(ctx, s, len(p.all), func(i int) (string, error) {
			path, err := s.code(ctx, p.all[i])
			return fmt.Sprint(path, " ", p.all[i^1].id), err
		}, j.args)
	})
}

// withCodes measures upgrades of which each spends a code that was got before.
// The floor knows no codes: it is measured with its plain upgrade.
func withCodes(ctx context.Context, b *bench, j job, who string) (Values, error) {
	if who == "floor" {
		return plain(ctx, b, j, who)
	}
	n := 30000
	if b.quick {
		n = 10000
	}
	return b.among(ctx, func(s *server, p *people) (Values, error) {
		return b.withPaths(ctx, s, n, func(i int) (string, error) { return s.code(ctx, p.all[i%len(p.all)]) }, j.args)
	})
}
