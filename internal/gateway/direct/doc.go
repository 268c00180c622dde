// Package direct is the dialect of a person-to-person messenger: frames of a
// number and an object, and a one-time code to connect.
//
// # Who are you
//
// A login's token (a JWT) opens the HTTP routes: in Authorization, bare or as
// Bearer, or in the session cookie. GET /ws/auth turns it into a code:
//
//	200 {"code":200,"status":200,"message":"success","data":{"websocketAuthCode":"<code>"}}
//	401 {"code":401,"data":null,"error":"Authorization failed","details":"…"}
//	503 with Retry-After while too many connect (limit.connects)
//
// The code is a JWT with authID, userID, exp and an audience of its own. It
// lives 60 s (direct.code_ttl), no longer than its login and the server that
// gave it, and is spent by the first connect that shows it.
//
// # Connecting: GET /ws/connect?auth=<code>
//
// 400 without a code, 401 for one that is wrong, spent or expired (close 4001
// with close_reason=1), 403 from a foreign Origin, 410 with reason and head for
// a position that cannot be served (close 4010), 429 with too many connections,
// 503 with Retry-After while too many connect (close 4029 with retry-after-ms;
// the code is not spent, but may expire in that time: after a wait as long as it
// lives, ask for a new one). What may be added to the query:
//
//	after=<id|position|last>  first what arrived after that; last: after what this login has acknowledged.
//	                          Where the oldest of it is not kept any more, a NOTIFICATION of kind expired comes first
//	devices=1                 type 5 for what I sent from another device
//	receipts=1                types 6 to 8: who read, who types, who of the friends is online
//	epoch=1                   seq and epoch in every frame that has a position; after= implies it
//	close_reason=1            a refusal as a close code and a sentence
//
// The server pings with a position, every 25 s and about a second after it sent
// something; the pong acknowledges everything up to it.
//
// # Frames: {"type":<int>,"data":{…}}, at most 4,096 bytes (direct.frame)
//
//	-1 ERROR            s→c  {message, code, ref}  ref where the frame had one
//	 0 MESSAGE          c→s  {to:number, message:string}; ref, a string, may stand beside type
//	 1 INCOMING_MESSAGE s→c  {from, message, time, id}
//	 2 NOTIFICATION     s→c  {message, kind, user}  kind: accepted, declined, withdrawn, unfriended, notice, group, expired
//	 3 FRIEND_REQUEST   s→c  {from}
//	 4 ACK              s→c  {ref, id, time}  once it is stored; only for a frame with ref
//	 5 SENT             s→c  {to, message, time, id}  only with devices=1
//	 6 READ             c↔s  {user, id}  up to that message; only with receipts=1, as are
//	 7 TYPING           c↔s  {user}      not kept
//	 8 PRESENCE         s→c  {user, online}  first those who are here; who goes is told after 3 s
//
// What somebody says in a group is a NOTIFICATION with kind group, in words;
// what is changed or taken back later shows in the history. Who was away when a
// message was said and taken back hears nothing of it.
//
// A missing type is 0. A UTF-8 BOM before the object is passed over. The text
// of a message may have 800 bytes (direct.text). time is RFC 3339 with
// nanoseconds, id a string, from, to and user numbers below 2^53. A frame that
// is not understood, binary ones too, gets an ERROR and the connection stays;
// the wordings are those of package-level constants in wire.go, and clients
// know them. The same ref again within 24 h stores nothing and gets the first
// answer, of a MESSAGE and of a READ each by itself; the ref of what is refused
// is not remembered.
//
// # HTTP
//
// The routes of accounts, friends, blocks and history are in http.go, people.go
// and history.go, each above its handler, with the shapes that clients depend
// on. Errors are {code, data:null, error, details} with the HTTP status in code.
package direct
