package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// greeter is a process that says something to "Hai!".
func greeter(word string) string {
	return `process: greeter
inputs:  { message: string }
outputs: { response: string }
rules:
  - when: message == "Hai!"
    reply: { response: '"` + word + `"' }
  - reply: { response: message }
`
}

// admin calls Kabar's own API by curl, with the administrator's key.
func (s *server) admin(t *testing.T, code int, method, path, body string) answer {
	t.Helper()
	a := asked(t, method, s.url(path), body, "apikey", s.adminKey(t))
	if a.code != code {
		t.Fatalf("%s %s: %d, not %d: %s", method, path, a.code, code, a.text)
	}
	return a
}

// bot connects the person to an endpoint, with the cookie.
func (p *person) bot(t *testing.T, path string) *socket {
	t.Helper()
	return dial(t, p.s.wsURL(path), "Cookie", "gen_app_auth_token="+p.token)
}

// gets sends a frame and wants an answer.
func (s *socket) gets(t *testing.T, frame, answer string) {
	t.Helper()
	s.send(t, frame)
	if text := s.next(t); text != answer {
		t.Errorf("%s is answered by %s, expected %s", frame, text, answer)
	}
}

// TestBotFromNothing makes a bot by curl alone, on a server with nothing in it.
func TestBotFromNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const hai = `{"message":"Hai!"}`
	mistake := strings.Replace(greeter("Halo!"), "message ==", "massage ==", 1)
	a := s.admin(t, 422, "PUT", "/v1/processes/greeter", mistake)
	faults, _ := a.at("errors").([]any)
	if len(faults) != 1 || dig(faults[0], "line") != 5.0 || dig(faults[0], "column") != 11.0 || !strings.Contains(fmt.Sprint(dig(faults[0], "message")), "massage") {
		t.Errorf("a mistake in line 5, column 11 is told as %s", a.text)
	}
	s.admin(t, 404, "GET", "/v1/processes/greeter", "")
	if a := s.admin(t, 200, "PUT", "/v1/processes/greeter", greeter("Halo!")); a.at("version") != 1.0 {
		t.Errorf("mended, it is saved as %s", a.text)
	}
	a = s.admin(t, 200, "POST", "/v1/processes/greeter/try", `{"inputs":`+hai+`}`)
	if a.at("outputs", "response") != "Halo!" || a.at("rule") != 1.0 || a.at("line") != 5.0 {
		t.Errorf("tried, it says %s", a.text)
	}
	s.admin(t, 200, "PUT", "/v1/endpoints/greeter", `{"process":"greeter","access":"users"}`)
	ann, budi := s.person(t, "ann"), s.person(t, "budi")
	refused(t, 404, s.wsURL("/greeter"), "Cookie", "gen_app_auth_token="+ann.token) // not published yet
	s.admin(t, 200, "POST", "/v1/processes/greeter/publish", "{}")

	people := []*socket{ann.bot(t, "/greeter"), budi.bot(t, "/greeter")}
	all := func(answer string) {
		t.Helper()
		for _, p := range people {
			p.gets(t, hai, answer)
		}
	}
	all(`{"response":"Halo!"}`)
	if a := s.admin(t, 200, "PUT", "/v1/processes/greeter", greeter("Selamat pagi!")); a.at("version") != 2.0 {
		t.Errorf("changed, it is saved as %s", a.text)
	}
	s.admin(t, 422, "PUT", "/v1/processes/greeter", mistake)
	all(`{"response":"Halo!"}`) // what is saved is not published
	s.admin(t, 200, "POST", "/v1/processes/greeter/publish", `{"version":2}`)
	all(`{"response":"Selamat pagi!"}`)
	s.admin(t, 200, "POST", "/v1/processes/greeter/publish", `{"version":1}`)
	all(`{"response":"Halo!"}`)
	versionsListed(t, s)
	othersPaths(t, s)
	byGroups(t, s, ann, budi, people)

	// All of it is there after a restart.
	s.stop(t)
	s = s.again(t)
	dial(t, s.wsURL("/greeter")).gets(t, hai, `{"response":"Halo!"}`)
	versionsListed(t, s)
}

func versionsListed(t *testing.T, s *server) {
	t.Helper()
	a := s.admin(t, 200, "GET", "/v1/processes/greeter", "")
	versions, _ := a.at("versions").([]any)
	if len(versions) != 2 || dig(versions[0], "version") != 2.0 || dig(versions[1], "version") != 1.0 || a.at("published") != 1.0 || a.at("source") != greeter("Selamat pagi!") {
		t.Errorf("the versions are listed as %s", a.text)
	}
	if a := s.admin(t, 200, "GET", "/v1/processes/greeter?version=1", ""); a.at("source") != greeter("Halo!") {
		t.Errorf("the first version is %s", a.text)
	}
}

// othersPaths: no endpoint takes what belongs to something else.
func othersPaths(t *testing.T, s *server) {
	t.Helper()
	for _, path := range []string{
		"websocket", "ws/connect", "ws/events", "ws/mine", "socket", "x/posts", "api/login", "auth", "v1/publish", "v1/mine",
		"instance/create", "webhook/set/a", "docs", "setup", "try", "healthz", "readyz", "metrics", "openapi.json", "asyncapi.json", "invite/a",
	} {
		s.admin(t, 409, "PUT", "/v1/endpoints/"+path, `{"process":"greeter","access":"anonymous"}`)
	}
	ready(t, s)
}

// byGroups narrows and widens who may use the endpoint, with people connected.
func byGroups(t *testing.T, s *server, ann, budi *person, people []*socket) {
	t.Helper()
	const hai, halo = `{"message":"Hai!"}`, `{"response":"Halo!"}`
	s.admin(t, 204, "PUT", fmt.Sprintf("/v1/groups/staff/members/%d", ann.id), "")
	s.admin(t, 200, "PUT", "/v1/endpoints/greeter", `{"process":"greeter","access":["staff"]}`)
	people[1].closes(t, 4003)
	people[0].gets(t, hai, halo)
	refused(t, 403, s.wsURL("/greeter"), "Cookie", "gen_app_auth_token="+budi.token)
	refused(t, 401, s.wsURL("/greeter"))
	c := ann.bot(t, "/greeter")
	c.gets(t, hai, halo)
	_ = c.c.CloseNow()

	s.admin(t, 204, "DELETE", fmt.Sprintf("/v1/groups/staff/members/%d", ann.id), "")
	// That somebody left is seen at a frame, five seconds later at most.
	var end websocket.CloseError
	eventually(t, "who left the group should be closed", func() error {
		_ = people[0].c.Write(t.Context(), websocket.MessageText, []byte(hai)) // the last one may find it closed
		text, err := people[0].read(t.Context())
		if err == nil {
			return errors.New("the bot still answers " + text)
		}
		if !errors.As(err, &end) || end.Code != 4003 {
			t.Fatalf("the connection ended with %v", err)
		}
		return nil
	})
	refused(t, 403, s.wsURL("/greeter"), "Cookie", "gen_app_auth_token="+ann.token)

	s.admin(t, 200, "PUT", "/v1/endpoints/greeter", `{"process":"greeter","access":"anonymous"}`)
	c = dial(t, s.wsURL("/greeter"))
	c.gets(t, hai, halo)
	_ = c.c.CloseNow()
}

// TestFirstAdministrator: there is no password that everybody knows. The first
// start prints a link, which makes the administrator, once.
func TestFirstAdministrator(t *testing.T) {
	t.Parallel()
	s := serve(t)
	link := s.sees(t, &s.out, `http://`+s.addr+`/setup\?code=(\S+)`)
	page := asked(t, "GET", link[0], "")
	if page.code != 200 || !strings.Contains(page.text, "<html") {
		t.Errorf("the link leads to %d %.200s", page.code, page.text)
	}
	if strings.Contains(s.err.String(), link[1]) {
		t.Error("the log holds the code")
	}
	form := func(code string) string {
		return fmt.Sprintf(`{"code":%s,"email":"ann@example.com","name":"ann","password":%s}`, js(code), js(password))
	}
	login := `{"login":"ann@example.com","password":` + js(password) + `}`
	if a := asked(t, "POST", s.url("/v1/setup"), form("guess"+link[1][5:])); a.code != 401 {
		t.Errorf("another code: %d %s", a.code, a.text)
	}
	if a := asked(t, "POST", s.url("/auth"), login); a.code != 401 {
		t.Errorf("before that: %d %s", a.code, a.text)
	}
	if a := asked(t, "POST", s.url("/v1/setup"), form(link[1])); a.code != 201 {
		t.Errorf("the link's code: %d %s", a.code, a.text)
	}
	if a := asked(t, "POST", s.url("/v1/setup"), strings.Replace(form(link[1]), "ann@", "evil@", 1)); a.code != 401 {
		t.Errorf("the same code again: %d %s", a.code, a.text)
	}
	if a := asked(t, "POST", s.url("/auth"), login); a.code != 200 || !strings.Contains(fmt.Sprint(a.at("user", "groups")), "Admins") {
		t.Errorf("the administrator's login: %d %s", a.code, a.text)
	}
	s.stop(t)
	s = s.again(t)
	if strings.Contains(s.out.String(), "/setup") {
		t.Errorf("there is an administrator, and the second start prints:\n%s", s.out.String())
	}
	if a := asked(t, "POST", s.url("/v1/setup"), form(link[1])); a.code != 401 {
		t.Errorf("the old code after a restart: %d %s", a.code, a.text)
	}
}

// TestBotFolder: processes beside the configuration are published at the start,
// and what is wrong with one stops it.
func TestBotFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const here = "endpoint: { url: /greeter, access: anonymous }\n"
	config := "--config=" + filepath.Join(folder, "kabar.yaml")
	data := filepath.Join(folder, "data")
	write("kabar.yaml", "data: "+data+"\n")
	write("bots/greeter.yaml", greeter("Halo!")+here)
	write("bots/README.md", "no process")
	s := serveOn(t, "127.0.0.1:0", data, config)
	c := dial(t, s.wsURL("/greeter"))
	c.gets(t, `{"message":"Hai!"}`, `{"response":"Halo!"}`)
	_ = c.c.CloseNow()
	s.stop(t)

	start := command("serve", "--listen", "127.0.0.1:0", "--data", data, config)
	write("bots/wrong.yaml", strings.Replace(greeter("Halo!"), "message ==", "massage ==", 1))
	fails(t, 1, []string{filepath.Join(folder, "bots", "wrong.yaml") + ":5:11", "massage", "message"}, start)
	write("bots/wrong.yaml", "process: other\nrules:\n\t- reply: {}\n")
	fails(t, 1, []string{"wrong.yaml:3:1", "tab"}, start)
	write("bots/wrong.yaml", greeter("Halo!"))
	fails(t, 1, []string{"wrong.yaml", "greeter.yaml", `"greeter"`}, start) // two of one name
	if err := os.Remove(filepath.Join(folder, "bots", "wrong.yaml")); err != nil {
		t.Fatal(err)
	}

	// The refusals have changed nothing; what is changed is a second version.
	write("bots/greeter.yaml", greeter("Selamat pagi!")+here)
	s = s.again(t, config)
	dial(t, s.wsURL("/greeter")).gets(t, `{"message":"Hai!"}`, `{"response":"Selamat pagi!"}`)
	if a := s.admin(t, 200, "GET", "/v1/processes/greeter", ""); a.at("version") != 2.0 || a.at("published") != 2.0 {
		t.Errorf("the changed file is %s", a.text)
	}
}
