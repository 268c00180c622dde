package process_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
)

// says is a process that answers a frame with a word.
func says(name, word, more string) []byte {
	return fmt.Appendf(nil, "process: %s\noutputs: { r: string }\nrules:\n  - reply: { r: '\"%s\"' }\n%s", name, word, more)
}

func TestVersions(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, nil)
	save := func(word string) int {
		t.Helper()
		v, err := w.Save(bg, "bot", says("bot", word, "endpoint: { url: /bot }\n"))
		ok(t, err)
		return v
	}
	if v := []int{save("one"), save("one"), save("two"), save("one")}; !slices.Equal(v, []int{1, 1, 2, 3}) {
		t.Errorf("versions %v", v)
	}
	if w.Endpoint("/bot") != nil {
		t.Error("it is live before it is published")
	}
	publish := func(version, want int) {
		t.Helper()
		got, err := w.Publish(bg, "bot", version)
		if err != nil || got != want {
			t.Fatalf("published %d, %v", got, err)
		}
	}
	publish(0, 3)
	r := w.runner("/bot", nil)
	expect(t, frame(t, r, "{}"), `{"r":"one"}`)
	publish(2, 2)
	expect(t, frame(t, r, "{}"), `{"r":"one"}`)
	r = r.Renew(w.Endpoint("/bot"), process.Who{})
	expect(t, frame(t, r, "{}"), `{"r":"two"}`)
	before := w.Endpoint("/bot")
	publish(2, 2)
	if w.Endpoint("/bot") != before {
		t.Error("the same version made another endpoint")
	}
	// What does not compile changes nothing.
	_, err := w.Save(bg, "bot", []byte("process: bot\nrules:\n  - when: x\n"))
	var faults *process.FaultsError
	if !errors.As(err, &faults) || faults.Faults[0] != (process.Fault{Line: 3, Column: 11, Message: faults.Faults[0].Message}) {
		t.Errorf("%v", err)
	}
	var e *status.Error
	if !errors.As(err, &e) || e.Reason != "PROCESS_FAULTS" || !strings.Contains(e.Message, "line 3, column 11") {
		t.Errorf("%v", err)
	}
	for _, bad := range []struct {
		name, source, words string
	}{
		{"other", string(says("bot", "x", "")), "line 1, column 10: this is the process bot"},
		{"bot", string(says("bot", "x", "endpoint: { url: /auth }\n")), "line 5, column 18: /auth: this url belongs"},
	} {
		if _, err := w.Save(bg, bad.name, []byte(bad.source)); err == nil || !strings.Contains(err.Error(), bad.words) {
			t.Errorf("%v", err)
		}
	}
	_, err = w.Save(bg, "a b", says("a b", "x", ""))
	is(t, err, process.ErrBadName)
	_, err = w.Publish(bg, "nope", 0)
	is(t, err, process.ErrNoProcess)
	_, err = w.Publish(bg, "bot", 9)
	is(t, err, process.ErrNoVersion)

	info, err := w.Get(bg, "bot", 1)
	ok(t, err)
	if info.Version != 1 || info.Published != 2 || len(info.Versions) != 3 || info.Versions[0].Version != 3 || info.Definition == nil || !strings.Contains(info.Source, "one") {
		t.Errorf("%+v", info)
	}
	if list, err := w.List(bg); err != nil || len(list) != 1 || list[0].Name != "bot" || list[0].Published != 2 || list[0].Secret != "" {
		t.Errorf("%+v, %v", list, err)
	}
	w.stop()
	deleted(t, start(t, folder, nil))
}

// deleted deletes what TestVersions left.
func deleted(t *testing.T, w *world) {
	t.Helper()
	expect(t, frame(t, w.runner("/bot", nil), "{}"), `{"r":"two"}`)
	ok(t, w.Delete(bg, "bot"))
	is(t, w.Delete(bg, "bot"), process.ErrNoProcess)
	if w.Endpoint("/bot") != nil || len(w.Endpoints()) != 0 {
		t.Error("it is live after it was deleted")
	}
	if v, err := w.Save(bg, "bot", says("bot", "three", "")); err != nil || v != 1 {
		t.Errorf("version %d, %v", v, err)
	}
}

func TestOldVersionsGo(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	for n := range 230 {
		_, err := w.Save(bg, "bot", says("bot", strconv.Itoa(n), ""))
		ok(t, err)
		if n == 2 {
			_, err = w.Publish(bg, "bot", 3)
			ok(t, err)
		}
	}
	info, err := w.Get(bg, "bot", 0)
	ok(t, err)
	if n := len(info.Versions); n != 202 || info.Versions[n-1].Version != 3 || info.Version != 230 {
		t.Errorf("%d versions, the last %+v", n, info.Versions[n-1])
	}
}

func TestEndpoints(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, nil)
	var mu sync.Mutex
	var told []string
	w.Watch(func(url string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, url)
	})
	heard := func(want ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		told = nil
	}
	w.publish(string(says("a", "a", "endpoint: { url: /a, access: [Staff] }\n")))
	heard("/a")
	e := w.Endpoint("/a")
	if !slices.Equal(e.Access.Groups, []string{"Staff"}) || !e.Declared || e.Process != "a" || e.Version != 1 || e.Def.Name != "a" {
		t.Errorf("%+v", e)
	}
	is(t, w.SetEndpoint(bg, "/auth", process.EndpointSpec{Process: "a"}), process.ErrReserved)
	is(t, w.SetEndpoint(bg, "/b", process.EndpointSpec{Process: "nope"}), process.ErrNoProcess)
	for _, bad := range []string{"", "/", "//", "/a/", "/a b", "/..", "/a/./b", "/a/b/c/d/e", "/é", "/a?b", "/" + strings.Repeat("x", 300)} {
		is(t, w.SetEndpoint(bg, bad, process.EndpointSpec{Process: "a"}), process.ErrBadURL)
	}
	heard()
	// Two endpoints of one process, one of them set by hand.
	ok(t, w.SetEndpoint(bg, "more/a", process.EndpointSpec{Process: "a", Access: process.Access{Anonymous: true}}))
	heard("/more/a")
	expect(t, frame(t, w.runner("/more/a", nil), "{}"), `{"r":"a"}`)
	// Publishing again moves what the definition declared, and nothing else.
	w.publish(string(says("a", "b", "endpoint: { url: /c }\n")))
	slices.Sort(told)
	heard("/a", "/c", "/more/a")
	if w.Endpoint("/a") != nil || w.Endpoint("/c") == nil || w.Endpoint("/more/a") == nil {
		t.Errorf("%v", w.Endpoints())
	}
	// What was set by hand stays as it is, also where a definition declares it.
	ok(t, w.SetEndpoint(bg, "/c", process.EndpointSpec{Process: "a", Access: process.Access{Groups: []string{"X"}}}))
	w.publish(string(says("a", "d", "endpoint: { url: /c, access: anonymous }\n")))
	if a := w.Endpoint("/c").Access; a.Anonymous || !slices.Equal(a.Groups, []string{"X"}) {
		t.Errorf("%+v", a)
	}
	// Another process cannot declare it, but can be put there.
	_, err := w.Save(bg, "z", says("z", "z", "endpoint: { url: /c }\n"))
	ok(t, err)
	_, err = w.Publish(bg, "z", 0)
	is(t, err, process.ErrTaken)
	ok(t, w.SetEndpoint(bg, "/c", process.EndpointSpec{Process: "z"}))
	if w.Endpoint("/c") != nil {
		t.Error("a process that is not published is live")
	}
	ok(t, w.DropEndpoint(bg, "/c"))
	is(t, w.DropEndpoint(bg, "/c"), process.ErrNoEndpoint)
	_, err = w.Publish(bg, "z", 0)
	ok(t, err)
	w.stop()
	w = start(t, folder, nil)
	var urls []string
	for _, e := range w.Endpoints() {
		urls = append(urls, e.URL+" "+e.Process)
	}
	if !slices.Equal(urls, []string{"/c z", "/more/a a"}) {
		t.Errorf("%v", urls)
	}
	if s := w.Stats(); s.Processes != 2 || s.Endpoints != 2 {
		t.Errorf("%+v", s)
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		word   string
		groups []string
		want   process.Access
		bad    bool
	}{
		{"", nil, process.Access{}, false}, {"users", nil, process.Access{}, false}, {"anonymous", nil, process.Access{Anonymous: true}, false},
		{"", []string{"A"}, process.Access{Groups: []string{"A"}}, false}, {"x", nil, process.Access{}, true}, {"users", []string{"A"}, process.Access{}, true},
		{"", []string{""}, process.Access{}, true}, {"", make([]string, 50), process.Access{}, true},
	} {
		a, err := process.ParseAccess(c.word, c.groups)
		if (err != nil) != c.bad || a.Anonymous != c.want.Anonymous || !slices.Equal(a.Groups, c.want.Groups) {
			t.Errorf("%+v: %+v, %v", c, a, err)
		}
	}
}

// TestChangesAtOnce has many change what is published at the same time, while
// others read it.
func TestChangesAtOnce(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	ctx, stop := context.WithCancel(bg)
	var reading, changing sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			if e := w.Endpoint("/p1"); e != nil && e.Process != "p1" {
				t.Error(e.Process)
			}
			_ = w.Endpoints()
		}
	})
	for n := range 4 {
		changing.Go(func() {
			name := fmt.Sprintf("p%d", n)
			for v := range 5 {
				_, err := w.Save(bg, name, says(name, strconv.Itoa(v), "endpoint: { url: /"+name+" }\n"))
				if err == nil {
					_, err = w.Publish(bg, name, 0)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	changing.Wait()
	stop()
	reading.Wait()
	for n := range 4 {
		expect(t, frame(t, w.runner(fmt.Sprintf("/p%d", n), nil), "{}"), `{"r":"4"}`)
	}
}
