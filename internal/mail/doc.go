// Package mail is how a mail leaves the server: by SMTP, or, where there is
// nobody to take it, into a box that can be looked into.
//
// It promises: a Send ends when its context does, and leaves no connection
// behind; a mail goes in the clear only where that was asked for, and the
// server's certificate is checked. It knows nothing of what is mailed, or why.
package mail
