package instance

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/journal"
)

// subject keeps what else is signed with the key from being an instance's token.
const subject = "g-t"

// maxToken bounds what is parsed: ours are a quarter of it.
const maxToken = 2048

// Token is an instance's token. Its text is shown when it is made, and never
// again: what is stored is the hash of the secret in it.
type Token struct {
	ID   uint64
	Text string
}

// claims are a token: tokenId is the secret whose hash the row holds.
type claims struct {
	InstanceName string `json:"instanceName"`
	APIName      string `json:"apiName"`
	TokenID      string `json:"tokenId"`
	jwt.RegisteredClaims
}

// signer makes and checks JWTs, HS256 and nothing else.
type signer struct {
	key          []byte
	live, anyAge *jwt.Parser
}

func newSigner(key []byte, now func() time.Time) signer {
	parser := func(more ...jwt.ParserOption) *jwt.Parser {
		return jwt.NewParser(append(more, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithStrictDecoding())...)
	}
	return signer{key: key, live: parser(jwt.WithTimeFunc(now)), anyAge: parser(jwt.WithoutClaimsValidation())}
}

func (s signer) check(p *jwt.Parser, token string) (claims, error) {
	if len(token) > maxToken {
		return claims{}, ErrTokenInvalid
	}
	var c claims
	_, err := p.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		// A header that changes how a token is to be read (crit, b64, …) would
		// be passed over by the parser. Ours have none.
		for name := range t.Header {
			if name != "alg" && name != "typ" {
				return nil, fmt.Errorf("the header %q is not ours", name)
			}
		}
		return s.key, nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return claims{}, ErrTokenExpired
	case err != nil || c.Subject != subject:
		return claims{}, ErrTokenInvalid
	}
	return c, nil
}

// hashOf is how a secret is kept. It has more than 128 bits, so a plain hash
// cannot be guessed back.
func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// sign makes a token for the instance of a name, with a secret of which the hash
// is kept.
func (s *Service) sign(name, secret string, now time.Time) (string, error) {
	c := claims{
		InstanceName: name, APIName: s.o.APIName, TokenID: secret,
		RegisteredClaims: jwt.RegisteredClaims{Subject: subject, IssuedAt: jwt.NewNumericDate(now)},
	}
	if s.o.TokenTTL > 0 {
		c.ExpiresAt = jwt.NewNumericDate(now.Add(s.o.TokenTTL))
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(s.signer.key)
}

// secret is a text that nobody can guess: for a request with a key the same for
// the same, else another each time.
func (s signer) secret(of, key string) string {
	if key == "" {
		return rand.Text()
	}
	b, err := hkdf.Key(sha256.New, s.key, nil, "kabar/instance/"+of+"/"+key, 20)
	if err != nil {
		panic(err) // only a length that the hash cannot give fails
	}
	return base32.StdEncoding.EncodeToString(b)
}

// of says whether the token is the one that row has now.
func (c claims) of(row Row) bool {
	return row.Name == c.InstanceName && subtle.ConstantTimeCompare(row.Hash, hashOf(c.TokenID)) == 1
}

// Access is what a token opens.
type Access struct {
	Instance Instance
	Token    uint64
	Until    time.Time // when the token expires, zero for never
}

// Credential is what a session of this access rests on.
func (a Access) Credential() string { return CredentialOf(a.Token) }

// Ref is the instance for whom holds the token: what is done by it is refused
// from the moment at which the token ends, whatever was checked before.
func (a Access) Ref() Ref { return Ref{id: a.Instance.ID, token: a.Token} }

// Authenticate finds the instance whose token this is at this moment. Every
// refusal is status.Unauthenticated.
func (s *Service) Authenticate(ctx context.Context, token string) (Access, error) {
	c, err := s.signer.check(s.signer.live, token)
	if err != nil {
		return Access{}, err
	}
	row, ok, err := s.o.Store.InstanceByName(ctx, c.InstanceName)
	switch {
	case err != nil:
		return Access{}, err
	case !ok || !c.of(row):
		return Access{}, ErrTokenEnded
	}
	a := Access{Instance: row.Instance, Token: row.Token}
	if c.ExpiresAt != nil {
		a.Until = c.ExpiresAt.Time
	}
	return a, nil
}

// RefreshToken gives the instance a new token in place of its old one, which
// is dead at once. old may have expired; it names what is to be replaced, and
// does not say that the caller may.
func (s *Service) RefreshToken(ctx context.Context, ref Ref, old string) (Token, error) {
	c, err := s.signer.check(s.signer.anyAge, old)
	if err != nil {
		return Token{}, err
	}
	token, secret := Token{}, rand.Text()
	if token.Text, err = s.sign(c.InstanceName, secret, s.o.Now()); err != nil {
		return Token{}, err
	}
	err = s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		row, err := ref.find(background, t)
		switch {
		case err != nil:
			return nil, err
		case !c.of(row):
			return nil, ErrTokenEnded
		}
		replaced := row.Token
		if token.ID, err = t.NextToken(background); err != nil {
			return nil, err
		}
		row.Token, row.Hash = token.ID, hashOf(secret)
		said, err := s.tokenRefreshed(row, replaced)
		if err != nil {
			return nil, err
		}
		return []*journal.Message{said}, t.SetInstance(background, row)
	})
	if err != nil {
		return Token{}, err
	}
	return token, nil
}
