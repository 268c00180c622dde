// Package account owns the people: users and their names, groups and badges,
// passwords and mailed codes, logins and what rests on them (tokens, one-time
// codes, tickets), and notices to a person or to all.
//
// It promises: names and addresses are unique without case; a login is a row,
// and a token is worth what its row says at this moment; a one-time code wins
// once; what ends a login or a ticket says so in its owner's inbox, with the
// credential whose sessions end. The first proof of an address ends what was
// prepared for it before. Only hashes of secrets are stored. A wrong password
// costs the same as an unknown name, and guessing is bounded.
//
// It never knows a friend, a room, a dialect or SQL.
package account
