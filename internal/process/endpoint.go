package process

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kabar-io/kabar/internal/status"
)

// Endpoint is a URL that a published process stands at. It does not change:
// what changes is another one.
type Endpoint struct {
	URL      string
	Process  string
	Version  int
	Access   Access
	Follow   []string
	Def      *Definition
	Declared bool // by the definition

	gate *gate
}

func (e *Endpoint) same(o *Endpoint) bool {
	return o != nil && e.Process == o.Process && e.Version == o.Version && e.Def == o.Def && e.Declared == o.Declared &&
		e.Access.Anonymous == o.Access.Anonymous && slices.Equal(e.Access.Groups, o.Access.Groups)
}

const (
	maxURL    = 200
	maxGroups = 32
)

var urlForm = regexp.MustCompile(`^(/[A-Za-z0-9._-]+){1,4}$`)

// CleanURL is a URL as endpoints have it, with the slash that it may lack.
func CleanURL(url string) (string, error) {
	if !strings.HasPrefix(url, "/") {
		url = "/" + url
	}
	dots := slices.ContainsFunc(strings.Split(url, "/"), func(s string) bool { return s == "." || s == ".." })
	if len(url) > maxURL || dots || !urlForm.MatchString(url) {
		return "", status.Errorf(ErrBadURL.Code, ErrBadURL.Reason, "%.80q is not a url: write 1 to 4 parts of A-Z a-z 0-9 . _ -, as /chatbot", url)
	}
	return url, nil
}

// ParseAccess reads who may use an endpoint: "anonymous", "users" or "", or
// groups.
func ParseAccess(word string, groups []string) (Access, error) {
	switch {
	case len(groups) > maxGroups:
		return Access{}, status.Errorf(status.Invalid, "ACCESS_INVALID", "these are more than %d groups", maxGroups)
	case len(groups) > 0 && word == "":
		for _, g := range groups {
			if g == "" || len(g) > 100 {
				return Access{}, status.Errorf(status.Invalid, "ACCESS_INVALID", "%.80q is not a group's name", g)
			}
		}
		return Access{Groups: slices.Clone(groups)}, nil
	case len(groups) == 0 && word == "anonymous":
		return Access{Anonymous: true}, nil
	case len(groups) == 0 && (word == "" || word == "users"):
		return Access{}, nil
	}
	return Access{}, status.Errorf(status.Invalid, "ACCESS_INVALID", "%.80q is no access: write anonymous, users or a list of groups", word)
}

// BotTopic is the topic of what is said at an endpoint.
func BotTopic(url string) string { return "bot" + url }
