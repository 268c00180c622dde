// Package personal hands out what the server has of a person, and takes it away
// when the account goes.
//
// It promises: from the moment that Erase is answered, nobody can log in to the
// account, and its names and its address are gone from it; then, in slices that
// hold up nobody, all that it said and was called goes from all that is kept,
// also after a kill; what others said stays, and can be read. Export reads page
// by page and is handed on as it is read.
//
// It knows what happens in which order, and where it stands. What is a person's
// among accounts and chats, these packages know.
package personal
