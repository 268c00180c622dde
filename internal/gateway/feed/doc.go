// Package feed is the dialect of one stream for everybody: a frame is a line of
// text, and nothing around it. It also is the page that speaks it.
//
// # Who are you
//
// Nobody in particular, or an account: a login's token in Authorization (bare
// or as Bearer) or in the session cookie. An Authorization that is no live
// login is refused with 401; a cookie that is none makes its reader nobody,
// since a browser sends it unasked. Other schemes than Bearer are somebody
// else's, such as a proxy's.
//
// # Connecting: GET /websocket
//
// 400 for a query that cannot be read, 401 for a token, 403 from a foreign
// Origin or under the name of somebody else, 410 with reason and head for a
// position that cannot be served, 426 without an upgrade, 429 with too many
// connections, 503 with Retry-After while too many connect; each with {code,
// error, message, reason}. What may stand in the query:
//
//	format=plain|json        plain, the default: each frame is exactly a line
//	last=<n>                 first the newest n lines that are kept (feed.history)
//	after=<position|last>    first what came after that; last: after what this login has acknowledged
//	name=<display name>      at most 35 characters, all of which show; an account's is else its own display name
//	client=<opaque id>       at most 64 bytes: whoever comes back with it is not sent its own lines
//	slow=skip                who cannot keep up loses what was missed, instead of catching up
//	presence=1               who is here, who joined and who left; only with format=json
//	acks=1                   what became of each line that I sent; only with format=json
//	epoch=1                  the epoch in every frame that has a seq; after= implies it; only with format=json
//	close_reason=1           a refusal as a close code and a sentence
//
// last and after exclude each other. A name that is the handle or the display
// name of an account, in whatever case and spacing and whatever does not show
// in between, is for that account alone. That is asked when connecting and, as
// accounts are made while people talk, again now and then when speaking.
//
// The server pings with a position; a pong acknowledges everything up to it,
// for the login on the feed. after=last is for logins only, and begins at the
// newest line where a login never acknowledged any.
//
// # What a client sends
//
// A text frame is a line: 1 byte to 4 KiB (feed.frame), stored and then sent as
// it is to everybody but the sender. The sender is, of an account, the login,
// and else the connection; with client=, it is those who say the same client,
// so that two tabs of one login hear each other and one that reconnects does
// not hear itself. Who may speak is the configuration's (feed.publish: nobody,
// accounts, anyone). A line that may not be spoken, an empty one and a binary
// frame are counted and dropped; the connection stays.
//
// # What a client receives
//
// Lines, and the server's notices to the feed and to all. With format=json
// every frame is an object with a kind:
//
//	{seq, id, time, from, text, kind:"line"|"notice", epoch}  from is a name, "" for nobody's
//	{kind:"error", code, line}    NOT_ALLOWED, NAME_TAKEN, TEXT_REQUIRED, BINARY, UNAVAILABLE, …: a frame was dropped
//	{kind:"ack", line, id, seq, time, epoch}  with acks=1: stored. Lines before it may
//	                                          still come: resume after what was heard
//	{kind:"skipped", count}       so many lines were lost: with slow=skip, or as the first frame with
//	                              after=last, where they are not kept any more (a plain client is refused)
//	{kind:"here", names, count}   with presence=1: the first frame
//	{kind:"joined"|"left", names, count}  with presence=1, at most one a second
//
// epoch stands where it was asked for; line, with acks=1, counts the text
// frames of this connection from 1 (0: it was a binary one). time is RFC 3339
// in UTC with milliseconds. count is how many there are now, an account or a
// name counting once; names are those whom the frame is about, empty when there
// are more than 200 people. What has no seq is not kept.
//
// # The page
//
// GET / is a chat for browsers, in English and Indonesian; what it is made of
// stands under /_feed/. It needs no other server and loads nothing from one.
package feed
