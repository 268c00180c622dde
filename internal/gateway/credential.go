package gateway

import (
	"net/http"
	"strings"

	"github.com/kabar-io/kabar/internal/ws"
)

// Cookie is the one session cookie of all gateways.
const Cookie = "gen_app_auth_token"

// Token is the login's token that a request carries: in Authorization, as
// "Bearer <token>" or bare, or in the session cookie. "" where it has none.
func Token(h http.Header) string {
	if a := strings.TrimSpace(h.Get("Authorization")); a != "" {
		if strings.Contains(a, " ") {
			return Bearer(h)
		}
		return a
	}
	r := http.Request{Header: h}
	if c, err := r.Cookie(Cookie); err == nil {
		return c.Value
	}
	return ""
}

// UpgradeToken is Token of an upgrade.
func UpgradeToken(h ws.Header) string {
	return Token(http.Header{"Authorization": h.Values("Authorization"), "Cookie": h.Values("Cookie")})
}

// Secure says whether whoever made the request reaches us by TLS, ours or that of
// the proxy in front of us: whoever makes that header up harms nobody but themselves.
func Secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// SetCookie gives the session cookie to a browser; an empty token takes it away.
func SetCookie(w http.ResponseWriter, r *http.Request, token string) {
	//nolint:gosec // Secure where there is TLS: a server without must work too
	c := &http.Cookie{Name: Cookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: Secure(r)}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
