// Package bot is the dialect of endpoints that are bound to a business process:
// a frame is a process's inputs, its answer the outputs.
//
// # Who are you
//
// POST /auth {login or email, password} → 200 {token, user:{id,username,groups}}
// and the session cookie gen_app_auth_token; login is a handle or an address.
// POST /auth/logout → 204; it ends the login and closes its sockets. A login
// lives 60 min (bot.session_idle) without traffic; frames and pongs are traffic.
//
//	401 {"error":{"code":"WRONG_LOGIN","message":"…"}}   unknown name or wrong password, alike
//	400 {"error":{"code":"LOGIN_REQUIRED","message":"…","field":"login"}}
//
// # Connecting: GET /<endpoint>
//
// With the cookie, or Authorization: Bearer <token>. An endpoint is open to
// anonymous people, to every account, or to the accounts of some groups. To an
// anonymous endpoint a cookie that is dead is no cookie; a dead token in
// Authorization is refused.
//
//	426 UPGRADE_REQUIRED  no upgrade: the body says the address and what a frame holds
//	401 NO_TOKEN, TOKEN_INVALID, LOGIN_ENDED  (close 4001 with close_reason=1)
//	403 NOT_ALLOWED       in none of the groups (4003)
//	403 ORIGIN            a page of a foreign origin (4003)
//	429                   too many connections (4029)
//	503 BUSY              too many connect at this moment: Retry-After (4029 with retry-after-ms)
//
// All are {"error":{"code","message","field"}}, field where there is one. Where
// nothing is published the path is nobody's, and 404 is the server's (4004).
//
// # Frames: JSON objects, at most 64 KiB (bot.frame)
//
//	{"message":"Hai!"}             c→s  a value for each input
//	{"response":"Halo!"}           s→c  the outputs; {} where no rule replies
//	{"error":{"code":"…",…}}       s→c  in the place of the outputs
//	{"$typing":true}               c→s  a typing trigger for the others here; no answer
//	{"$push":true,"response":"…"}  s→c  outputs that no frame of mine asked for
//	{"$push":true,"notice":{"text":"…"}}  s→c  the server's word to this person,
//	                               but not its word to everybody
//
// A frame may hold "$id", any JSON value: its answer, or its error, has the same.
// With $id a typing frame is answered too, by {"$id":…}. Frames run one at a
// time, in order: the k-th answer is the k-th frame's. Only frames with inputs
// count, and those that are refused. Nothing but a push has "$push".
//
//	NOT_JSON         no JSON, a binary frame, or a key that is there twice (field)
//	NOT_AN_OBJECT    JSON, but no object
//	MISSING_INPUT    an input has no value (field)
//	UNKNOWN_INPUT    a key that is no input (field)
//	WRONG_TYPE       a value of another type (field)
//	PROCESS_FAILED   the process could not do it; the reason is in the server's log
//	PROCESS_TIMEOUT  the process took too long
//
// The connection stays. Over 64 KiB it closes with 1009.
//
// # Triggers
//
// A process's rules run for each connection also on connect and disconnect, on
// message (something was said to the endpoint, or in a topic that it follows:
// the feed, a room, the person's own inbox) and on typing (somebody else there
// types). What such a rule replies is a push. A connection runs one thing at a
// time, whatever the trigger. Who does not take their pushes hears the rest
// later, in order.
//
// # Changes
//
// A process that is published anew, or another for the endpoint, takes effect
// for the next frame of who is connected; another process begins without the
// vars of the one before. Who may no longer use the endpoint is
// closed with 4003, and where it is gone with 4004. That somebody left a group
// is seen at their next frame or trigger, 5 seconds later at most.
package bot
