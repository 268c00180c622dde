// Package relay is the dialect of a social app's relay: typed messages between
// people, groups and their devices. All ids are strings.
//
// # Who are you
//
// A six-digit code, mailed to an address, makes a login (auth.go), which the
// session cookie carries; Authorization: Bearer does as well. The login's
// bootstrap, GET /x/auth/isUser (bootstrap.go), gives everything to begin with,
// and socket:{id,host}: the secret that opens a socket, and where.
//
// Every answer is {ok, code, msg, data?} with the HTTP status in code; msg is OK
// or a word that clients branch on (words.go). 401 is UNAUTHORIZED, 429 is
// TO_MANY_REQUEST, no such route is 404.
//
// # Connecting: /?id=<socket.id>, or /socket?id=
//
// 401 for an id that is missing, unknown, replaced or of a login that ended
// (close 4001 with close_reason=1), and where the session cookie, if one is
// sent, is of another login; 403 from a foreign Origin; 410 with reason and head
// for a position that cannot be served (4010); 429 with too many connections,
// 503 with Retry-After while too many connect (4029 with retry-after-ms).
// Bootstrapping again makes a new id: a socket of the old one is told
// {"type":"newLoggedIn","uid":"<me>"} and closed with 4009. relay.single_device
// does so to all of a person's sockets. A socket begins after what its login's
// sockets acknowledged. Of what stands before its id was made it gets only what
// no bootstrap shows, which is what clients said in words of their own: that is
// owed since the login's first bootstrap, however many followed. So between a
// bootstrap and a socket, and between two sockets, nothing is lost; what was not
// acknowledged yet may come again, with the same key. A bootstrap is bounded
// (bootstrap.go), and one at a time. What may be added to the query:
//
//	after=<position|last>  all after that instead; last: what this login's sockets acknowledged. Where the
//	                       oldest of it is not kept any more it is refused or, with notices=1, begins with
//	                       what is left and a notice that says so; so does, with notices=1, what is owed without after
//	devices=1              also what I did on another device: messages, edits, deletions, reads, clears, groups
//	live=1                 postlikes
//	notices=1              notices
//	strict=0               frames without identifier are taken too
//	epoch=1                seq and epoch in every frame that has a position; after= implies it
//	close_reason=1         a refusal as a close code and a sentence
//
// The server pings with a position, every 25 s and about a second after it sent
// something; the pong acknowledges everything up to it.
//
// # Client frames: {"type":<string>,"identifier":"kirimin",…}, at most 64 KiB
//
//	postlike, postunlike     postid
//	readAllMessages          roomid, roomtype: "user" or "group"
//	typing                   roomid, roomtype
//	offer answer candidate hangup reject  to, and what WebRTC needs (calls.go)
//	any other                to or roomid: carried to that person, or to the room's other members
//
// A type of the server's own is reserved: nobody else can send one. What is
// carried keeps its fields, but for those that only the server may set: from and
// uid are the sender's id, key is new, ref stays here, and so do seq and epoch
// where the receiver gets the server's (epoch=1). Beside to, roomid and roomtype
// count for nothing and are not carried. It is kept and resumed like a message;
// with "volatile":true, and as typing and calls always, it reaches only who is
// there. The room id of a private chat is the id of the other person, so roomid
// is another one for each of the two.
//
// A frame with ref (1 to 128 bytes) is answered, once what it did is durable:
//
//	{"type":"ack","ref":…,"ok":true,"key":…,"time":<ms>}  key and time where something was said
//	{"type":"ack","ref":…,"ok":true,"callKey":…}          an offer
//	{"type":"ack","ref":…,"ok":false,"msg":<word>}
//
// The same ref again within 24 h does nothing and gets the first answer, where
// it said something that is kept. A like, a group's readAllMessages, typing, a
// step of a call and what is volatile are done again; a like that is there stays
// one. A login's refs in other dialects are others. Without ref nothing is
// answered: what is refused is counted and dropped.
//
// # Server frames: {"key":…,"from":<user>,"type":…,…}
//
//	sendmessage editmessage deletemessage  chat:Message, roomdata:Room, users:User[], sender:User
//	readAllMessages clearhistory           roomid
//	typing                                 roomid, roomtype
//	memberjoin                             groupid, user:User
//	memberleave                            groupid; from is who left, or had to
//	memberkick                             groupid; to the one who has to go, from the owner
//	addfriend acceptfriend cancelfriend unfriend ignorefriend  user:User
//	newbadges                              badges
//	notice                                 text; only with notices=1
//
// and without key: newLoggedIn {uid}, calloffline {user}, postlikes {postid,
// likes} (only with live=1), and what belongs to calls: the caller's fields and
// user, from, uid, callKey. A call with who is no friend any more, or hidden,
// ends with {type, to, callKey} alone. Whoever answers a call has it there: a
// hangup or reject of their other logins does nothing. The key of what is kept
// is its id, in every place where it comes again.
//
//	User    = {id, username, displayname, isFriend?:0|1|2|3, badges?, bio?, image?}
//	Room    = {id, short, long, image?, badges?, type:"user"|"group", owner?, link?}
//	Message = {id, userid, timestamp:ms, type:"text"|"deleted"|"call", text?, reply?, edited?:ms, readers?, duration?:ms}
//	Chat    = {r:Room, u:User[], m:Message[]}, the oldest message first
//
// In the frames of a group no User has isFriend, so that they are the same for
// all; isFriend is 0 none, 1 friends, 2 I asked, 3 they asked.
//
// # HTTP
//
// The routes are in auth.go, bootstrap.go, people.go, rooms.go, groups.go,
// posts.go and account.go, each above its handler.
package relay
