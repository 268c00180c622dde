package relay

import (
	"context"
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
)

const (
	version  = 1   // of the shapes
	newest   = 50  // messages of a chat that a bootstrap has at most, and a page of its history
	maxAsked = 500 // people who asked to be friends, the newest
)

// self is me.
type self struct {
	ID       string    `json:"id"`
	Handle   string    `json:"username"`
	Name     string    `json:"displayname"`
	Image    string    `json:"image,omitempty"`
	Bio      string    `json:"bio,omitempty"`
	Badges   []int     `json:"badges,omitempty"`
	Email    []address `json:"email"`
	Requests []user    `json:"req,omitempty"` // who asked to be friends
}

type address struct {
	Email    string `json:"email"`
	Provider string `json:"provider"`
}

// start is everything to begin with.
type start struct {
	Me     self `json:"me"`
	Socket struct {
		ID   string `json:"id"`
		Host string `json:"host"`
	} `json:"socket"`
	Version   int            `json:"v"`
	Package   string         `json:"package"`
	PublicKey any            `json:"publicKey"` // always null
	Peer      any            `json:"peer"`
	Chats     []conversation `json:"c"`
}

// bootstrap is GET /x/auth/isUser → data:{me:{id,username,displayname,image?,
// bio?,badges?,email:[{email,provider}],req?:User[]}, socket:{id,host}, v,
// package, publicKey:null, peer:null|RTCConfiguration, c:Chat[]}, of each chat
// the newest 50 messages; where that would be very much, of those where nothing
// was said for long the last one, and of their members who is named in it. One
// at a time for a login, the next one waits.
func (g *Gateway) bootstrap(w http.ResponseWriter, r *http.Request, me caller) error {
	if err := g.o.Edge.Admission.Admit(); err != nil {
		return err
	}
	over, ok := g.boots.take(r.Context(), me.login.ID)
	if !ok {
		return errTooMany
	}
	defer over()
	var out start
	// The socket's id first: what happens while the rest is read stands in it,
	// or comes over the socket, or both.
	secret, _, err := g.o.Accounts.OpenTicket(r.Context(), me.login, g.o.Alone)
	if err != nil {
		return err
	}
	out.Socket.ID, out.Socket.Host = secret, r.Host
	if out.Me, err = g.self(r.Context(), me); err != nil {
		return err
	}
	chats, err := g.o.Chats.Overview(r.Context(), me.ID, newest)
	if err != nil {
		return err
	}
	out.Chats = make([]conversation, len(chats))
	for i := range chats {
		out.Chats[i] = conversationOf(&chats[i])
	}
	out.Version, out.Package = version, g.o.Version
	if len(g.o.ICE) > 0 {
		out.Peer = data{"iceServers": []data{{"urls": g.o.ICE}}}
	}
	return done(w, out)
}

func (g *Gateway) self(ctx context.Context, me caller) (self, error) {
	u := ofUser(me.User, noFriend)
	s := self{ID: strconv.FormatUint(u.id, 10), Handle: u.handle, Name: u.name, Image: u.image, Bio: u.bio, Badges: u.badges, Email: []address{}}
	if me.Email != "" {
		s.Email = append(s.Email, address{me.Email, provider})
	}
	_, asked, err := g.o.Chats.Requests(ctx, me.ID)
	s.Requests = ofAsked(asked)
	return s, err
}

// ofAsked are the newest who asked to be friends.
func ofAsked(us []account.User) []user {
	var asked []user
	for _, u := range us[:min(maxAsked, len(us))] {
		asked = append(asked, ofUser(u, int(chat.TheyAsked)))
	}
	return asked
}

func conversationOf(c *chat.Chat) conversation {
	if c.Group != nil {
		return conversation{roomOfGroup(c.Group), ofPeople(c.Members), linesOf(c.Messages, false)}
	}
	other := ofPerson(*c.Other)
	return conversation{roomOf(&other), []user{other}, linesOf(c.Messages, false)}
}
