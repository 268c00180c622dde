package account

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The audiences keep a login's token from being a code, and a code from being
// a login's token.
const (
	loginAudience = "kabar.login"
	codeAudience  = "kabar.code"
)

// maxToken bounds what is parsed: ours are a quarter of it.
const maxToken = 2048

// loginClaims are a login's token: sub is the user's id, jti the secret whose
// hash the row holds.
type loginClaims struct {
	jwt.RegisteredClaims
}

// codeClaims are a one-time code; the first two names are the dialect's.
type codeClaims struct {
	AuthID string `json:"authID"`
	User   uint64 `json:"userID"`
	Login  uint64 `json:"login"`
	jwt.RegisteredClaims
}

// signer makes and checks JWTs, HS256 and nothing else.
type signer struct {
	key         []byte
	login, code *jwt.Parser
}

func newSigner(key []byte, now func() time.Time) signer {
	parser := func(audience string) *jwt.Parser {
		return jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithTimeFunc(now), jwt.WithStrictDecoding())
	}
	return signer{key: key, login: parser(loginAudience), code: parser(codeAudience)}
}

func (s signer) sign(c jwt.Claims) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(s.key)
}

func (s signer) check(p *jwt.Parser, token string, into jwt.Claims) error {
	if len(token) > maxToken {
		return jwt.ErrTokenMalformed
	}
	_, err := p.ParseWithClaims(token, into, func(t *jwt.Token) (any, error) {
		// A header that changes how a token is to be read (crit, b64, …) would
		// be passed over by the parser. Ours have none.
		for name := range t.Header {
			if name != "alg" && name != "typ" {
				return nil, fmt.Errorf("the header %q is not ours", name)
			}
		}
		return s.key, nil
	})
	return err
}

// digest is how a secret is kept. The secrets have 128 bits or more, so a
// plain hash cannot be guessed back, and a search by it tells nothing.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// hashOf is a digest as the store has it.
func hashOf(secret string) []byte {
	h := digestOf(secret)
	return h[:]
}

// loginToken is the token of a login whose secret is jti.
func (s *Service) loginToken(l Login, jti string) (string, error) {
	return s.signer.sign(loginClaims{jwt.RegisteredClaims{
		ID: jti, Subject: strconv.FormatUint(l.User, 10), Audience: jwt.ClaimStrings{loginAudience},
		IssuedAt: jwt.NewNumericDate(l.Created), ExpiresAt: jwt.NewNumericDate(l.Created.Add(s.o.LoginEnd)),
	}})
}
