package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// sealer keeps secrets unreadable without the data folder's key.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (sealer, error) {
	k, err := hkdf.Key(sha256.New, key, nil, "kabar/webhook/secrets", 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead}, err
}

// owner binds what is sealed to its webhook: in another's row it does not open.
func owner(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func (s sealer) seal(id uint64, secret string) []byte {
	return s.aead.Seal(nil, nil, []byte(secret), owner(id)) //nolint:gosec // the nonce is made by Seal itself, at random
}

func (s sealer) open(id uint64, sealed []byte) (string, error) {
	b, err := s.aead.Open(nil, nil, sealed, owner(id))
	if err != nil {
		return "", fmt.Errorf("webhook: the secret of %d was not sealed with this folder's key", id)
	}
	return string(b), nil
}
