package ws

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// browserHead is what a browser sends.
const browserHead = "GET /ws/connect?auth=3f9c1d5b7a2e4c60&after=120934&receipts=1 HTTP/1.1\r\n" +
	"Host: chat.kabar.example:8443\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://chat.kabar.example:8443\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// asking is what makes a head a good opening handshake, behind its first line.
const asking = "Host: kabar.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// withLine is an opening handshake with another first line.
func withLine(s string) string { return s + "\r\n" + asking + "\r\n" }

// withTarget is an opening handshake for another target.
func withTarget(s string) string { return withLine("GET " + s + " HTTP/1.1") }

// withField is an opening handshake with more fields, in front of and behind which
// there are others.
func withField(s string) string {
	return "GET /ws HTTP/1.1\r\nAccept: */*\r\n" + s + "\r\n" + asking + "\r\n"
}

// withInstead is an opening handshake with something else in place of what is there.
func withInstead(old, now string) string {
	return strings.Replace(withLine("GET /ws HTTP/1.1"), old, now, 1)
}

// withHost is an opening handshake with other Host fields, each a whole line.
func withHost(s string) string { return withInstead("Host: kabar.example\r\n", s) }

// withUpgrade is an opening handshake with another value of Upgrade.
func withUpgrade(s string) string { return withInstead("Upgrade: websocket", "Upgrade: "+s) }

// heads is what parseHead and a server of net/http's say to each. What net/http
// refuses, its own tests name; what it tolerates and parseHead does not has a
// remark. A head that is "http" here has net/http's answer. The peer has ended,
// so where more is to come, net/http says 400, and nothing to nothing.
var heads = []struct{ name, head, ours, theirs string }{
	{"good", withLine("GET /ws HTTP/1.1"), "upgrade", "upgrade"},
	{"a browser's", browserHead, "upgrade", "upgrade"},
	{"frames behind it", withLine("GET /ws HTTP/1.1") + "\x81\x80abcd", "upgrade", "upgrade"},
	{"a request behind it", withLine("GET /ws HTTP/1.1") + withLine("GET /admin HTTP/1.1"), "upgrade", "upgrade"},
	{"empty lines behind it", withLine("GET /ws HTTP/1.1") + "\n\n\r\n\r\n", "upgrade", "upgrade"},
	{"nothing", "", "more", ""},
	{"no end", "GET /ws HTTP/1.1\r\n" + asking, "more", "400"},
	{"half an end", "GET /ws HTTP/1.1\r\n" + asking + "\r", "more", "400"},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "more", "400"},
	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http", "http"},
	{"an empty line first", "\r\n" + withLine("GET /ws HTTP/1.1"), "http", "400"},
	{"a bare empty line first", "\n" + withLine("GET /ws HTTP/1.1"), "http", "400"},

	// The first line.
	{"no target", withLine("GET"), "400", "400"},
	{"no version", withLine("GET /ws"), "400", "400"},
	{"no method", withLine(" /ws HTTP/1.1"), "400", "400"},
	{"a method in small letters", withLine("get /ws HTTP/1.1"), "upgrade", "upgrade"}, // Check refuses it
	{"a method that is no token", withLine("GE(T /ws HTTP/1.1"), "400", "400"},
	{"a method beyond ASCII", withLine("G\xc9T /ws HTTP/1.1"), "400", "400"},
	{"two spaces before the target", withLine("GET  /ws HTTP/1.1"), "400", "400"},
	{"two spaces behind the target", withLine("GET /ws  HTTP/1.1"), "400", "400"},
	{"a space behind the version", withLine("GET /ws HTTP/1.1 "), "400", "400"},
	{"a space before the method", withLine(" GET /ws HTTP/1.1"), "400", "400"},
	{"tabs", withLine("GET\t/ws\tHTTP/1.1"), "400", "400"},
	{"two CR", withLine("GET /ws HTTP/1.1\r"), "400", "400"},
	{"CR in the target", withTarget("/w\rs"), "400", "400"},
	{"a bare LF", strings.Replace(withLine("GET /ws HTTP/1.1"), "\r\n", "\n", 1), "400", "upgrade"}, // stricter
	{"HTTP/1.0", withLine("GET /ws HTTP/1.0"), "upgrade", "upgrade"},                                // Check refuses it
	{"HTTP/1.7", withLine("GET /ws HTTP/1.7"), "upgrade", "upgrade"},                                // as well
	{"HTTP/0.9", withLine("GET /ws HTTP/0.9"), "400", "505"},
	{"HTTP/2.0", withLine("GET /ws HTTP/2.0"), "400", "505"},
	{"HTTP/3.0", withLine("GET /ws HTTP/3.0"), "400", "505"},
	{"http/1.1", withLine("GET /ws http/1.1"), "400", "400"},
	{"HTTP", withLine("GET /ws HTTP"), "400", "400"},
	{"HTTP/", withLine("GET /ws HTTP/"), "400", "400"},
	{"HTTP/1.", withLine("GET /ws HTTP/1."), "400", "400"},
	{"HTTP/one.one", withLine("GET /ws HTTP/one.one"), "400", "400"},
	{"HTTP/1.1/", withLine("GET /ws HTTP/1.1/"), "400", "400"},
	{"HTTP/1,1", withLine("GET /ws HTTP/1,1"), "400", "400"},
	{"HTTP/+1.1", withLine("GET /ws HTTP/+1.1"), "400", "400"},
	{"HTTP/1.+1", withLine("GET /ws HTTP/1.+1"), "400", "400"},
	{"HTTP/01.1", withLine("GET /ws HTTP/01.1"), "400", "400"},
	{"HTTP/1.x", withLine("GET /ws HTTP/1.x"), "400", "400"},
	{"HTTP/1.01", withLine("GET /ws HTTP/1.01"), "400", "400"},
	{"HTTP/3.14", withLine("GET /ws HTTP/3.14"), "400", "400"},
	{"POST", withLine("POST /ws HTTP/1.1"), "upgrade", "upgrade"},                            // Check refuses it
	{"CONNECT with a path", withLine("CONNECT /ws HTTP/1.1"), "upgrade", "upgrade"},          // as well
	{"CONNECT", withLine("CONNECT kabar.example:443 HTTP/1.1"), "400", "upgrade"},            // stricter
	{"CONNECT with a URL", withLine("CONNECT http://x.example/ HTTP/1.1"), "400", "upgrade"}, // stricter: to net/http its host is http:
	{"CONNECT with a request in its host", withLine("CONNECT []%20%48%54%54%50%2f%31%2e%31%0a%4d%79%48%65%61%64%65%72%3a%20%31%0a%0a HTTP/1.0"), "400", "400"},
	{"OPTIONS for all", withLine("OPTIONS * HTTP/1.1"), "400", "200"}, // net/http's own answer

	// The target.
	{"a query", withTarget("/ws?a=1&b=%zz?"), "upgrade", "upgrade"},
	{"an empty query", withTarget("/ws?"), "upgrade", "upgrade"},
	{"a question mark in the query", withTarget("/ws??"), "upgrade", "upgrade"},
	{"an escaped path", withTarget("/%77s%2f%41+b%00%e2%82%ac?%77"), "upgrade", "upgrade"},
	{"a path beyond ASCII", withTarget("/w\xc3\xa4s\xff"), "upgrade", "upgrade"},
	{"two slashes", withTarget("//evil.example/ws"), "upgrade", "upgrade"},
	{"dots", withTarget("/../ws/."), "upgrade", "upgrade"},
	{"a colon", withTarget("/ws:80/http://x"), "upgrade", "upgrade"},
	{"a bad escape", withTarget("/%zz"), "400", "400"},
	{"half an escape", withTarget("/ws%4"), "400", "400"},
	{"an escape cut off by the query", withTarget("/ws%4?1"), "400", "400"},
	{"a fragment", withTarget("/ws#x"), "400", "upgrade"},                // stricter
	{"a fragment in the query", withTarget("/ws?a#x"), "400", "upgrade"}, // stricter
	{"a control byte", withTarget("/w\x01s"), "400", "400"},
	{"a control byte in the query", withTarget("/ws?\x1f"), "400", "400"},
	{"DEL", withTarget("/w\x7fs"), "400", "400"},
	{"NUL", withTarget("/w\x00s"), "400", "400"},
	{"a tab", withTarget("/w\ts"), "400", "400"},
	{"a space", withTarget("/w s"), "400", "400"},
	{"no target at all", withTarget(""), "400", "400"},
	{"a query alone", withTarget("?a"), "400", "400"},
	{"no slash", withTarget("ws"), "400", "400"},
	{"a star", withTarget("*"), "400", "upgrade"}, // stricter
	{"a URL", withTarget("http://other.example:81/ws?a"), "upgrade", "upgrade"},
	{"a URL of TLS", withTarget("HTTPS://other.example/%77s"), "upgrade", "upgrade"},
	{"a URL without a path", withTarget("http://other.example?a"), "upgrade", "upgrade"},
	{"a URL with an address", withTarget("http://[fe80::1%25en0]:80/ws"), "upgrade", "upgrade"},
	{"a URL with a bad address", withTarget("http://[fe80::zz]/ws"), "400", "400"},
	{"a URL with a bad port", withTarget("http://x.example:8a/ws"), "400", "400"},
	{"a URL with a bad escape", withTarget("http://x.example/%zz"), "400", "400"},
	{"a URL with a host beyond ASCII", withTarget("http://\xff.example/ws"), "400", "upgrade"}, // stricter
	{"a URL with an escaped host", withTarget("http://%ff.example/ws"), "400", "upgrade"},      // stricter
	{"a URL with a user", withTarget("http://kabar.example@evil.example/"), "400", "upgrade"},  // stricter
	{"a URL without a host", withTarget("http:///ws"), "400", "upgrade"},                       // stricter
	{"a URL without slashes", withTarget("http:ws"), "400", "upgrade"},                         // stricter
	{"a URL of a WebSocket", withTarget("ws://kabar.example/ws"), "400", "upgrade"},            // stricter
	{"a URL of another scheme", withTarget("ftp://kabar.example/ws"), "400", "upgrade"},        // stricter
	{"a URL without a scheme", withTarget("://kabar.example/ws"), "400", "400"},

	// Fields.
	{"a space in a value", withField("Foo: a space"), "upgrade", "upgrade"},
	{"a tab in a value", withField("Foo: foo\tbar"), "upgrade", "upgrade"},
	{"spaces around a value", withField("Foo: \t foo \t "), "upgrade", "upgrade"},
	{"no space before a value", withField("Foo:foo"), "upgrade", "upgrade"},
	{"no value", withField("Foo:"), "upgrade", "upgrade"},
	{"blanks for a value", withField("Foo: \t "), "upgrade", "upgrade"},
	{"a colon in a value", withField("Foo: :a:"), "upgrade", "upgrade"},
	{"a value beyond ASCII", withField("Foo: foo\xfffoo"), "upgrade", "upgrade"},
	{"all of a token", withField("!#$%&'*+-.^_`|~09azAZ: x"), "upgrade", "upgrade"},
	{"a name twice", withField("foo-bar: a\r\nFOO-BAR: b\r\nfOO-bAR: c"), "upgrade", "upgrade"},
	{"many cookies", withField("Cookie: a=1\r\ncookie: b=2"), "upgrade", "upgrade"},
	{"NUL in a value", withField("Foo: foo\x00foo"), "400", "400"},
	{"DEL in a value", withField("Foo: foo\x7ffoo"), "400", "400"},
	{"a control byte in a value", withField("Foo: foo\x0bbar"), "400", "400"},
	{"CR in a value", withField("Foo: foo\rFoo: foo"), "400", "400"},
	{"CR at a value's end", withField("Foo: foo\r"), "400", "400"},
	{"CR alone for a line", withField("\r"), "400", "400"},
	{"a space in a name", withField("A space: foo"), "400", "400"},
	{"a byte beyond ASCII in a name", withField("foo\xffbar: foo"), "400", "400"},
	{"NUL in a name", withField("foo\x00bar: foo"), "400", "400"},
	{"a space before the colon", withField("Foo : bar"), "400", "400"},
	{"a tab before the colon", withField("Foo\t: bar"), "400", "400"},
	{"no name", withField(": empty"), "400", "400"},
	{"no colon", withField("foo"), "400", "400"},
	{"a name in quotes", withField(`"foo": bar`), "400", "400"},
	{"a space before the first name", "GET /ws HTTP/1.1\r\n " + asking + "\r\n", "400", "400"},
	{"a tab before the first name", "GET /ws HTTP/1.1\r\n\t" + asking + "\r\n", "400", "400"},
	{"a folded value", withField("Foo: a\r\n b"), "400", "upgrade"},                                             // stricter
	{"a value folded with a tab", withField("Foo: a\r\n\tb"), "400", "upgrade"},                                 // stricter
	{"a line of blanks", withField("Foo: a\r\n \t"), "400", "upgrade"},                                          // stricter
	{"a folded Upgrade", withUpgrade("\r\n websocket"), "400", "upgrade"},                                       // stricter
	{"a bare LF behind a field", withField("Foo: a\nBar: b"), "400", "upgrade"},                                 // stricter
	{"a bare LF at the end", strings.TrimSuffix(withLine("GET /ws HTTP/1.1"), "\r\n") + "\n", "400", "upgrade"}, // stricter
	{"as many fields as may be", withField(manyFields(maxFields - 6)), "upgrade", "upgrade"},
	{"more fields than may be", withField(manyFields(maxFields - 5)), "431", "upgrade"}, // stricter
	{"Trailer", withField("Trailer: X"), "upgrade", "upgrade"},
	{"Pragma alone", withField("Pragma: no-cache"), "upgrade", "upgrade"},
	{"Connection: close", withField("Connection: close"), "upgrade", "upgrade"},
	{"Expect", withField("Expect: 100-continue"), "417", "upgrade"}, // stricter
	{"Expect something", withField("Expect: miracles"), "417", "417"},

	// Host.
	{"no host", withHost(""), "400", "400"},
	{"no host with HTTP/1.0", strings.Replace(withHost(""), "/1.1", "/1.0", 1), "400", "upgrade"}, // stricter
	{"no host, but in the URL", strings.Replace(withHost(""), "/ws", "http://x.example/ws", 1), "400", "400"},
	{"an empty host", withHost("Host: \r\n"), "upgrade", "upgrade"}, // Check refuses it
	{"an IPv4 address", withHost("Host: 1.2.3.4:80\r\n"), "upgrade", "upgrade"},
	{"an IPv6 address", withHost("Host: [::1%25en0]:80\r\n"), "upgrade", "upgrade"},
	{"an underscore", withHost("host: foo-bar_baz.com\r\n"), "upgrade", "upgrade"},
	{"two hosts", withHost("Host: first\r\nHost: second\r\n"), "400", "400"},
	{"one host twice", withHost("Host: first\r\nhOST: first\r\n"), "400", "400"},
	{"two hosts beside a URL", strings.Replace(withHost("Host: a\r\nHost: b\r\n"), "/ws", "http://x.example/ws", 1), "400", "400"},
	{"a control byte in the host", withHost("Host: \x06\r\n"), "400", "400"},
	{"a host beyond ASCII", withHost("Host: \xff\r\n"), "400", "400"},
	{"a brace in the host", withHost("Host: {\r\n"), "400", "400"},
	{"a slash in the host", withHost("Host: a/b\r\n"), "400", "400"},
	{"a user in the host", withHost("Host: a@b\r\n"), "400", "400"},
	{"a space in the host", withHost("Host: a b\r\n"), "400", "400"},

	// A body.
	{"an empty one", withField("Content-Length: 0"), "upgrade", "upgrade"},
	{"an empty one, said with a space", withField("Content-Length:  0 "), "upgrade", "upgrade"},
	{"one", withField("Content-Length: 3") + "abc", "400", "upgrade"},                           // Check refuses it too
	{"the most", withField("Content-Length: 9223372036854775807"), "400", "upgrade"},            // as well
	{"one length twice", withField("Content-Length: 3\r\nContent-Length: 3"), "400", "upgrade"}, // as well
	{"no length twice", withField("Content-Length: 0\r\nContent-Length: 0"), "400", "upgrade"},  // stricter
	{"two zeros", withField("Content-Length: 00"), "400", "upgrade"},                            // stricter
	{"two lengths", withField("Content-Length: 3\r\nContent-Length: 4") + "abc", "400", "400"},
	{"none and one", withField("Content-Length: 0\r\ncontent-length: 40"), "400", "400"},
	{"lengths in a list", withField("Content-Length: 0, 0"), "400", "400"},
	{"an empty length", withField("Content-Length: "), "400", "400"},
	{"a positive length", withField("Content-Length: +0"), "400", "400"},
	{"a negative length", withField("Content-Length: -0"), "400", "400"},
	{"a length in hex", withField("Content-Length: 0x0"), "400", "400"},
	{"a length with an underscore", withField("Content-Length: 0_0"), "400", "400"},
	{"too big a length", withField("Content-Length: 9223372036854775808"), "400", "400"},
	{"a length that is none", withField("Content-Length: notdigits"), "400", "400"},
	{"a length that is not hidden by a space", withField("Content-Length : 40"), "400", "400"},
	{"chunks", withField("Transfer-Encoding: chunked"), "400", "upgrade"},                                   // Check refuses it too
	{"Chunks", withField("transfer-encoding: Chunked"), "400", "upgrade"},                                   // as well
	{"chunks and a length", withField("Content-Length: 3\r\nTransfer-Encoding: chunked"), "400", "upgrade"}, // as well
	{"chunks and a length that is none", withField("Content-Length: x\r\nTransfer-Encoding: chunked"), "400", "400"},
	{"chunks with HTTP/1.0", strings.Replace(withField("Transfer-Encoding: chunked"), "/1.1", "/1.0", 1), "400", "upgrade"}, // stricter
	{"chunks twice", withField("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), "400", "501"},
	{"chunks in a list", withField("Transfer-Encoding: chunked, chunked"), "400", "501"},
	{"chunks and identity", withField("Transfer-Encoding: chunked, identity"), "400", "501"},
	{"identity", withField("Transfer-Encoding: identity"), "400", "501"},
	{"no encoding", withField("Transfer-Encoding: "), "400", "501"},
	{"chunks in quotes", withField(`Transfer-Encoding: " chunked"`), "400", "501"},
	{"chunks behind a control byte", withField("Transfer-Encoding: \x0bchunked"), "400", "400"},
	{"chunks behind a space", withField("Transfer-Encoding : chunked"), "400", "400"},
	{"chunks folded", withField("Transfer-Encoding:\r\n chunked"), "400", "upgrade"}, // Check refuses it too
	{"another name", withField("Transfer_Encoding: chunked"), "upgrade", "upgrade"},

	// What is an upgrade at all.
	{"big letters", withUpgrade("WEBSOCKET"), "upgrade", "upgrade"},
	{"no space", withInstead("Upgrade: ", "uPGRADE:"), "upgrade", "upgrade"},
	{"a list", withUpgrade("h2c,\t websocket ,x"), "upgrade", "upgrade"},
	{"two fields", withUpgrade("h2c\r\nUpgrade: websocket"), "upgrade", "upgrade"},
	{"two fields the other way round", withUpgrade("websocket\r\nUpgrade: h2c"), "upgrade", "upgrade"},
	{"letters that fold to it", withUpgrade("web\u017foc\u212aet"), "upgrade", "upgrade"}, // Check refuses them
	{"a space beyond ASCII", withUpgrade("\u00a0websocket\u2003"), "upgrade", "upgrade"},  // as well
	{"a lone byte that looks like a space", withUpgrade("websocket\xa0"), "http", "http"},
	{"another protocol", withUpgrade("h2c"), "http", "http"},
	{"another version", withUpgrade("websocket/13"), "http", "http"},
	{"quotes", withUpgrade(`"websocket"`), "http", "http"},
	{"two words", withUpgrade("web socket"), "http", "http"},
	{"nothing to upgrade to", withUpgrade(""), "http", "http"},
	{"another field", withInstead("Upgrade:", "Upgrades:"), "http", "http"},
	{"the target's", "GET /Upgrade:websocket HTTP/1.1\r\nHost: x\r\n\r\n", "http", "http"},
	{"a value's", "GET / HTTP/1.1\r\nHost: x\r\nX: Upgrade: websocket\r\n\r\n", "http", "http"},
	{"the body's", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 22\r\n\r\nUpgrade: websocket\r\n\r\n", "http", "http"},
	{"the first line's", "Upgrade: websocket HTTP/1.1\r\n\r\n", "http", "400"},
	{"a space before its colon", withInstead("Upgrade:", "Upgrade :"), "http", "400"},
	{"NUL before its colon", withInstead("Upgrade:", "Upgrade\x00:"), "http", "400"},
	{"folded into another field", withInstead("Upgrade:", " Upgrade:"), "http", "400"}, // into Host
	{"folded into any other field", withInstead("Upgrade:", "X: a\r\n\tUpgrade:"), "http", "http"},
	{"another protocol, badly", "GET  / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", "http", "400"},
	{"another protocol, folded", withUpgrade("h2c,\r\n h3"), "400", "http"}, // stricter
	{"no upgrade, badly", "GET / HTTP/1.1\r\nHost: x\r\nFoo : bar\r\n\r\n", "http", "400"},
	{"no upgrade, with LF", "GET / HTTP/1.1\nHost: x\n\n", "http", "http"},
}

// manyFields is n fields.
func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "X-%d: %d", i, i)
	}
	return b.String()
}

func TestHeads(t *testing.T) {
	l := netHTTP(t)
	for _, tt := range heads {
		t.Run(tt.name, func(t *testing.T) {
			if ours, theirs := judge(t, l, []byte(tt.head)); ours != tt.ours || theirs != tt.theirs {
				t.Errorf("%s, want %s; net/http says %s, want %s: %q", ours, tt.ours, theirs, tt.theirs, tt.head)
			}
			byByte(t, []byte(tt.head))
		})
	}
}

// What only Check refuses, it does refuse.
func TestHeadThenCheck(t *testing.T) {
	for head, want := range map[string]int{
		withLine("get /ws HTTP/1.1"):                  405,
		withLine("POST /ws HTTP/1.1"):                 405,
		withLine("GET /ws HTTP/1.0"):                  505,
		withLine("GET /ws HTTP/1.7"):                  505,
		withHost("Host: \r\n"):                        400,
		withUpgrade("web\u017foc\u212aet"):            426,
		withUpgrade("\u00a0websocket"):                426,
		withInstead("Upgrade\r\n", "\u017fclose\r\n"): 426,
		withLine("GET /ws HTTP/1.1"):                  0,
		browserHead:                                   0,
	} {
		r, _, _, f := parseHead([]byte(head))
		if r == nil || f != nil {
			t.Fatalf("%+v %q", f, head)
		}
		got := 0
		if f = r.Check(); f != nil {
			got = f.Status
		}
		if got != want {
			t.Errorf("%d, want %d: %q", got, want, head)
		}
	}
}

func TestHeadTooLong(t *testing.T) {
	long := func(n int) []byte {
		empty := len(withField("Cookie: "))
		return []byte(withField("Cookie: " + strings.Repeat("a", n-empty)))
	}
	for _, tt := range []struct {
		name string
		head []byte
		want string
	}{
		{"as long as may be", long(maxHead), "upgrade"},
		{"as long, and more behind it", append(long(maxHead), long(maxHead)...), "upgrade"},
		{"too long by one", long(maxHead + 1), "431"},
		{"far too long", long(10 * maxHead), "431"},
		{"no upgrade, as long as may be", bytes.Replace(long(maxHead), []byte("Upgrade:"), []byte("Upgrad-:"), 1), "http"},
		{"no line", bytes.Repeat([]byte("a"), maxHead), "431"},
		{"no line yet", bytes.Repeat([]byte("a"), maxHead-1), "more"},
		{"the shortest lines", bytes.Repeat([]byte("a\n"), maxHead), "431"},
		{"the shortest fields", append(bytes.Repeat([]byte("upgrade:\n"), maxHead/9), '\n'), "400"},
	} {
		r, n, up, f := parseHead(bytes.Clone(tt.head))
		if got := word(r, n, up, f); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		byByte(t, tt.head)
	}
}

// A read buffer is used again while the request lives on.
func TestHeadKeepsNothing(t *testing.T) {
	b := []byte(browserHead)
	r, n, up, f := parseHead(b)
	if n != len(b) || !up {
		t.Fatal(n, f)
	}
	want, _, _, _ := parseHead([]byte(browserHead))
	clear(b)
	if !reflect.DeepEqual(r, want) || r.Get("Sec-WebSocket-Key") != "dGhlIHNhbXBsZSBub25jZQ==" ||
		r.Query().Get("after") != "120934" || r.Host != "chat.kabar.example:8443" {
		t.Errorf("%+v", r)
	}
}

// What an upgrade costs before the gateway is asked.
func TestHeadAllocations(t *testing.T) {
	if raceEnabled {
		return
	}
	buf := make([]byte, len(browserHead))
	answer := make([]byte, 0, 256)
	page := []byte(strings.Replace(browserHead, "Upgrade: websocket", "Accept: */*", 1))
	r, _, _, _ := parseHead([]byte(browserHead))
	for _, tt := range []struct {
		what string
		most float64
		f    func()
	}{
		{"a browser's head", 3, func() { // the request, the string, the fields
			copy(buf, browserHead)
			_, _, _, _ = parseHead(buf)
		}},
		{"a page's head", 0, func() { _, _, _, _ = parseHead(page) }},
		{"half a head", 0, func() { _, _, _, _ = parseHead(buf[:200]) }},
		{"Check", 0, func() { _ = r.Check() }},
		{"the answer", 1, func() { _ = appendSwitching(nil, r) }},
		{"the answer into a buffer", 0, func() { _ = appendSwitching(answer, r) }},
	} {
		if n := testing.AllocsPerRun(1000, tt.f); n > tt.most {
			t.Errorf("%s: %v allocations, want %v", tt.what, n, tt.most)
		}
	}
}

func BenchmarkHead(b *testing.B) {
	for _, tt := range []struct{ name, head string }{
		{"browser", browserHead},
		{"tool", withLine("GET /ws HTTP/1.1")},
		{"page", strings.Replace(browserHead, "Upgrade: websocket", "Accept: */*", 1)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			buf := make([]byte, len(tt.head))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, tt.head)
				if _, n, _, f := parseHead(buf); n == 0 || f != nil {
					b.Fatal(n, f)
				}
			}
		})
	}
}

func BenchmarkSwitching(b *testing.B) {
	r, _, _, _ := parseHead([]byte(browserHead))
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if f := r.Check(); f != nil {
			b.Fatal(f)
		}
		_ = appendSwitching(buf, r)
	}
}
