// Package retention says for how long what was said is kept, and deletes it
// then: by age, count and size, for each kind of topic.
//
// It promises: what a policy does not keep cannot be read any more, and then
// its rows go, once no topic keeps them; numbers are never given twice; the
// writer is never held up for longer than a slice; a pass that is cut off by a
// kill goes on where it was; where nothing is to be deleted, a pass is a few
// statements.
//
// Beside it, it deletes what is left of keys that need not be remembered any
// more, and the positions of logins and consumers that are gone. It never knows
// SQL, and of a topic only its kind.
package retention
