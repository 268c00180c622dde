package e2e

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// npmWS is a connection by npm's ws.
type npmWS struct {
	*process
	in *lines
}

// npmSocket connects by it; a cookie may be added.
func npmSocket(t *testing.T, url string, cookie ...string) npmWS {
	t.Helper()
	in := newLines(t)
	line := append(command(tool(t, "node"), "testdata/clients/ws.js", npm(t, "ws"), url), cookie...)
	return npmWS{start(t, line, in.feed), in}
}

func (n npmWS) send(t *testing.T, text string) {
	t.Helper()
	n.in.write(t, js(text))
}

// hears waits for a text frame.
func (n npmWS) hears(t *testing.T, text string) {
	t.Helper()
	n.says(t, "text "+js(text)+"\n")
}

// wscat connects by wscat, which sends each text once it is connected and then
// stays.
func wscat(t *testing.T, url string, texts ...string) *process {
	t.Helper()
	return wscatWith(t, nil, url, texts...)
}

// wscatWith is wscat with more of its flags.
func wscatWith(t *testing.T, flags []string, url string, texts ...string) *process {
	t.Helper()
	line := command(tool(t, "node"), npm(t, "wscat", "bin", "wscat"), "--no-color", "--connect", url, "--wait", "-1")
	line = append(line, flags...)
	for _, text := range texts {
		line = append(line, "--execute", text)
	}
	return start(t, line, newLines(t).feed)
}

// curl runs curl to its end and gives what it printed.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, stderr, code := output(t, append(command(tool(t, "curl"), "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"), args...))
	if code != 0 {
		t.Fatalf("curl %s: %d %s%s", strings.Join(args, " "), code, stderr, out)
	}
	return out
}

// asked is call by curl.
func asked(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	line := []string{"--request", method, "--write-out", "\n%{http_code}"}
	for i := 0; i < len(headers); i += 2 {
		line = append(line, "--header", headers[i]+": "+headers[i+1])
	}
	if body != "" {
		line = append(line, "--data-binary", body)
	}
	out := curl(t, append(line, url)...)
	end := strings.LastIndexByte(out, '\n')
	a := answer{text: out[:end]}
	var err error
	if a.code, err = strconv.Atoi(out[end+1:]); err != nil {
		t.Fatalf("curl printed %s", out)
	}
	_ = json.Unmarshal([]byte(a.text), &a.json) // not every answer is JSON
	return a
}

// curlStays starts a curl that prints what comes as it comes, without an end.
func curlStays(t *testing.T, args ...string) *process {
	t.Helper()
	return start(t, append(command(tool(t, "curl"), "--silent", "--show-error", "--noproxy", "*", "--no-buffer"), args...))
}

// curlUpgrade upgrades by curl, which knows nothing of WebSocket here: the
// handshake is RFC 6455's own example, and what follows the answer is printed
// as it came. The answer itself is printed only with what follows it, so the URL
// should ask for something of the past.
func curlUpgrade(t *testing.T, url string) *process {
	t.Helper()
	p := curlStays(t, "--include", "--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket",
		"-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", url)
	p.says(t, "HTTP/1.1 101 Switching Protocols\r\n")
	p.says(t, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
	return p
}

// count waits until a process has printed a text so many times, and no more.
func (p *process) count(t *testing.T, text string, n int) {
	t.Helper()
	eventually(t, text+" should be printed", func() error {
		switch got := strings.Count(p.out.String(), text); {
		case got > n:
			t.Fatalf("%q was printed %d times, expected %d:\n%s", text, got, n, p.out.String())
		case got < n:
			return errors.New("printed so far: " + p.out.String())
		}
		return nil
	})
}

// line waits for a whole line among what the process prints.
func (p *process) line(t *testing.T, text string) {
	t.Helper()
	p.await(t, text, func() bool { return strings.Contains("\n"+p.out.String(), "\n"+text+"\n") })
}
