// Package instance owns the sources of events: instances, the token of each,
// the names that events may have, and the events that are posted in.
//
// It promises: an instance has one token, and a token is worth what its row
// says at this moment; what ends a token says so in the instance's topic, with
// the credential whose sessions end; a batch of events is stored whole or not
// at all, each event with its instance as it was at that moment; an id is
// never given twice, so a new instance of an old name is another topic, and no
// token of the old one opens it. Only hashes of secrets are stored.
//
// It never knows who listens, a dialect or SQL.
package instance
