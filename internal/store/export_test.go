package store

import (
	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
)

// AccountsIn and ChatsIn are the ports of a batch that somebody wrapped.
func AccountsIn(t *Tx) account.Tx { return accounts{t.queries} }

// ChatsIn is the other.
func ChatsIn(t *Tx) chat.Tx { return chats{t.queries} }

// SenderKept says whether the writer would answer without a SELECT.
func (t *Tx) SenderKept(from, to uint64) bool {
	_, ok := t.senders.find(from, to, min(from, to), max(from, to))
	return ok
}
