package relay

import (
	"net/http"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
)

// perPage is how many posts a page has.
const perPage = 50

// post is a post as this dialect shows it.
type post struct {
	ID       string `json:"id"`
	User     user   `json:"user"`
	Time     int64  `json:"ts"`
	Text     string `json:"text,omitempty"`
	Likes    int    `json:"likes"`
	Comments int    `json:"comments"`
	Liked    bool   `json:"liked"`
}

func ofPost(p chat.Post) post {
	return post{p.ID, ofPerson(p.User), p.Time.UnixMilli(), p.Text, p.Likes, p.Comments, p.Liked}
}

// comment is what somebody said to a post.
type comment struct {
	ID   string `json:"id"`
	User user   `json:"user"`
	Time int64  `json:"ts"`
	Text string `json:"text"`
}

func ofComment(c chat.Comment) comment {
	return comment{c.ID, ofPerson(c.User), c.Time.UnixMilli(), c.Text}
}

// posts is GET /x/posts?before= → data:[{id,user,ts,text,likes,comments,liked}],
// the newest first, 50 a page; next, beside data, is the before of the page
// after it, and missing where there is none.
func (g *Gateway) posts(w http.ResponseWriter, r *http.Request, me caller) error {
	before, err := cursor(r)
	if err != nil {
		return err
	}
	page, next, err := g.o.Chats.Posts(r.Context(), me.ID, before, perPage)
	if err != nil {
		return err
	}
	out := make([]post, len(page))
	for i := range page {
		out[i] = ofPost(page[i])
	}
	gateway.WriteJSON(w, http.StatusOK, answer{OK: true, Code: http.StatusOK, Msg: msgOK, Data: out, Next: next})
	return nil
}

// body is what a post or a comment says.
type body struct {
	Text string `json:"text"`
}

// newPost is POST /x/posts/new-post {text} → data:{post}. 400 MSG_TEXT_REQUIRED
// and MSG_TEXT_LENGTH (2,000 characters).
func (g *Gateway) newPost(w http.ResponseWriter, r *http.Request, me caller) error {
	var in body
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	p, err := g.o.Chats.NewPost(r.Context(), me.ID, in.Text)
	if err != nil {
		return err
	}
	return done(w, data{"post": ofPost(p)})
}

// deletePost is POST /x/posts/delete-post/{id} → data:{postid}. 404
// POSTS_NOT_FOUND for what is not one's own.
func (g *Gateway) deletePost(w http.ResponseWriter, r *http.Request, me caller) error {
	id := r.PathValue("id")
	if err := g.o.Chats.DeletePost(r.Context(), me.ID, id); err != nil {
		return err
	}
	return done(w, data{"postid": id})
}

// comments is GET /x/posts/comments/{id} → data:[{id,user,ts,text}], the oldest
// first.
func (g *Gateway) comments(w http.ResponseWriter, r *http.Request, me caller) error {
	cs, err := g.o.Chats.Comments(r.Context(), me.ID, r.PathValue("id"))
	if err != nil {
		return err
	}
	out := make([]comment, len(cs))
	for i := range cs {
		out[i] = ofComment(cs[i])
	}
	return done(w, out)
}

// addComment is POST /x/posts/comment/add/{id} {text} → data:{comment}.
func (g *Gateway) addComment(w http.ResponseWriter, r *http.Request, me caller) error {
	var in body
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	c, err := g.o.Chats.AddComment(r.Context(), me.ID, r.PathValue("id"), in.Text)
	if err != nil {
		return err
	}
	return done(w, data{"comment": ofComment(c)})
}

// deleteComment is POST /x/posts/comment/delete/{post}/{comment} →
// data:{commentid}: by who wrote it, or whose post it is.
func (g *Gateway) deleteComment(w http.ResponseWriter, r *http.Request, me caller) error {
	if err := g.o.Chats.DeleteComment(r.Context(), me.ID, r.PathValue("id"), r.PathValue("comment")); err != nil {
		return err
	}
	return done(w, data{"commentid": r.PathValue("comment")})
}
