package simulator

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// serverAddress is where the server listens.
const serverAddress = "10.1.0.1:80"

// patience is how long a client waits for an answer, and for any byte on a
// socket: the server's pings come more often.
const patience = 8 * time.Second

// party is somebody with a network of their own. It belongs to one goroutine.
type party struct {
	w      *world
	name   string
	random *rand.Rand
	manner manner
}

// generator is a stream of chance that two numbers decide.
func generator(a, b uint64) *rand.Rand {
	return rand.New(rand.NewPCG(a, b)) //nolint:gosec // it must be the same again
}

// party makes one. What it does is decided by the seed and its name, whatever
// the others do.
func (w *world) party(name string) *party {
	h := uint64(14695981039346656037)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return &party{w: w, name: name, random: generator(w.seed, h), manner: plain}
}

func (p *party) dial() (*wire, error) { return p.w.lines.dial(serverAddress, p.manner, p.random) }

// beat is the step of all times: computing takes none, so what is to meet must
// happen at the same moment.
const beat = 5 * time.Millisecond

// between is a time from a to b.
func (p *party) between(a, b time.Duration) time.Duration {
	return (a + time.Duration(p.random.Int64N(int64(b-a)+1))).Truncate(beat)
}

// chance is true n times in a hundred.
func (p *party) chance(n int) bool { return p.random.IntN(100) < n }

// refused is an answer that says no.
type refused struct {
	status int
	body   string
}

func (r *refused) Error() string { return fmt.Sprintf("%d %.300s", r.status, r.body) }

// passing says that another try may be answered otherwise: the server is coming
// up, going down or busy.
func (r *refused) passing() bool {
	return r.status == http.StatusTooManyRequests || r.status >= http.StatusInternalServerError
}

// gone says that a position was refused, for that reason.
func (r *refused) gone(reason string) bool {
	return r.status == http.StatusGone && strings.Contains(r.body, `"`+reason+`"`)
}

// head is where the topic stood whose position was refused.
func (r *refused) head() uint64 {
	var why struct{ Head uint64 }
	_ = json.Unmarshal([]byte(r.body), &why)
	return why.Head
}

// call asks for one answer on a wire of its own. header is of pairs, in and out
// are JSON, nil for none.
func (p *party) call(method, path string, header []string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequest(method, "http://"+serverAddress+path, bytes.NewReader(body)) //nolint:noctx // it has a deadline
	if err != nil {
		return err
	}
	r.Close = true
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := p.dial()
	if err != nil {
		return err
	}
	defer func() { _ = w.client.Close() }()
	_ = w.client.SetDeadline(time.Now().Add(patience))
	if err := r.Write(w.client); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(w.client), r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode >= 300:
		return &refused{res.StatusCode, strings.TrimSpace(string(b))}
	case out != nil:
		return json.Unmarshal(b, out)
	}
	return nil
}

// insist calls until the answer is yes; false where the run ended before.
func (p *party) insist(method, path string, header []string, in, out any) bool {
	for {
		err := p.call(method, path, header, in, out)
		if err == nil {
			return true
		}
		var no *refused
		if errors.As(err, &no) && !no.passing() {
			p.w.fail(other, "%s %s was refused: %v", method, path, err)
			return false
		}
		if !p.w.pause(p.between(20*time.Millisecond, 500*time.Millisecond)) {
			return false
		}
	}
}

// The opcodes of RFC 6455.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// socket is a WebSocket, or a stream of Server-Sent Events.
type socket struct {
	*wire
	in     *bufio.Reader
	pong   func(payload []byte) bool // whether a ping is answered; nil: all are
	lines  bool                      // it is a stream of Server-Sent Events
	lastID string                    // of those

	turn    chan struct{} // full while somebody writes: a lock would hold the clock
	random  *rand.Rand    // theirs
	written []byte        // theirs
}

// closed is how the server ended a socket.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %q", c.code, c.reason) }

// upgrade asks for a WebSocket or, where the first header is Accept, for a
// stream.
func (p *party) upgrade(path string, header ...string) (*socket, error) {
	w, err := p.dial()
	if err != nil {
		return nil, err
	}
	s := &socket{wire: w, in: bufio.NewReader(w.client), turn: make(chan struct{}, 1), random: generator(p.random.Uint64(), 2)}
	_ = w.client.SetDeadline(time.Now().Add(patience))
	ask := "GET " + path + " HTTP/1.1\r\nHost: " + serverAddress + "\r\n"
	want := http.StatusSwitchingProtocols
	if len(header) > 0 && header[0] == "Accept" {
		s.lines, want = true, http.StatusOK
	} else {
		ask += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	for pair := range slices.Chunk(header, 2) {
		ask += pair[0] + ": " + pair[1] + "\r\n"
	}
	if err = writeSlowly(w.client, []byte(ask+"\r\n"), p.random); err == nil {
		err = s.begin(want)
	}
	if err != nil {
		_ = w.client.Close()
		return nil, err
	}
	_ = w.client.SetDeadline(time.Time{})
	return s, nil
}

// writeSlowly writes in one piece or in two.
func writeSlowly(to io.Writer, b []byte, random *rand.Rand) error {
	n := 0
	if random.IntN(4) == 0 {
		n = random.IntN(len(b))
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
	}
	_, err := to.Write(b[n:])
	return err
}

func (s *socket) begin(want int) error {
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil { // cut in the middle: it says nothing
			return err
		}
		return &refused{res.StatusCode, strings.TrimSpace(string(b))}
	}
	if s.lines {
		s.in = bufio.NewReader(res.Body)
	} else if res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return &refused{res.StatusCode, "another's Sec-WebSocket-Accept"}
	}
	return nil
}

// close ends it without a word.
func (s *socket) close() { _ = s.client.Close() }

// next is the next message. The error is a *closed where the server said
// goodbye, and the wire's otherwise.
func (s *socket) next() ([]byte, error) {
	s.waits()
	return s.take(s.waits)
}

func (s *socket) waits() { _ = s.client.SetReadDeadline(time.Now().Add(patience)) }

// nextSoon is next under a deadline that is set.
func (s *socket) nextSoon() ([]byte, error) { return s.take(func() {}) }

// take is the next message; alive is called for whatever comes.
func (s *socket) take(alive func()) ([]byte, error) {
	if s.lines {
		return s.nextEvent(alive)
	}
	for {
		op, p, err := s.frame()
		if err != nil {
			return nil, err
		}
		alive()
		switch op {
		case opText:
			return p, nil
		case opPing:
			if s.pong == nil || s.pong(p) {
				if err := s.send(opPong, p); err != nil {
					return nil, err
				}
			}
		case opClose:
			c := &closed{code: 1005}
			if len(p) >= 2 {
				c.code, c.reason = int(binary.BigEndian.Uint16(p)), string(p[2:])
			}
			_ = s.client.SetWriteDeadline(time.Now().Add(time.Second))
			_ = s.send(opClose, p)
			return nil, c
		default:
			return nil, fmt.Errorf("a frame of opcode %d", op)
		}
	}
}

func (s *socket) frame() (op byte, p []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	var more [8]byte
	switch size {
	case 126:
		if _, err = io.ReadFull(s.in, more[6:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(more[:])
	case 127:
		if _, err = io.ReadFull(s.in, more[:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(more[:])
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 || size > 1<<20 {
		return 0, nil, fmt.Errorf("a frame that begins with %x and has %d bytes", head, size)
	}
	p = make([]byte, size)
	_, err = io.ReadFull(s.in, p)
	return head[0] & 0xf, p, err
}

// send writes a frame.
func (s *socket) send(op byte, p []byte) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	b := s.written[:0]
	b = append(b, 0x80|op)
	if len(p) < 126 {
		b = append(b, 0x80|byte(len(p)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(p)))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range p {
		b = append(b, c^mask[i&3])
	}
	s.written = b
	return writeSlowly(s.client, b, s.random)
}

// nextEvent is the next of Server-Sent Events.
func (s *socket) nextEvent(alive func()) ([]byte, error) {
	var data []byte
	event := ""
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		alive()
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && event == "close":
			c := &closed{}
			var said struct {
				Code   int
				Reason string
			}
			_ = json.Unmarshal(data, &said)
			c.code, c.reason = said.Code, said.Reason
			return nil, c
		case line == "\n" && data != nil:
			return data, nil
		case name == "event":
			event = value
		case name == "data":
			data = []byte(value)
		case name == "id":
			s.lastID = value
		}
	}
}
