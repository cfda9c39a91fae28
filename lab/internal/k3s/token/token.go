// Package token knows the tokens with which servers and agents join, and keeps the cluster's secrets under the server's token.
package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Users of the supervisor.
const (
	ServerUser = "server"
	NodeUser   = "node"
)

// Token is what a host shows to join: K10<hash of the CA>::<user>:<password>,
// or the password alone.
type Token struct {
	CAHash   string // empty: any CA is trusted the first time
	User     string // empty: the one that the command stands for
	Password string
}

// Parse reads a token.
func Parse(text string) (Token, error) {
	text = strings.TrimSpace(text)
	rest, full := strings.CutPrefix(text, "K10")
	hash, rest, hasHash := strings.Cut(rest, "::")
	if !full || !hasHash {
		if text == "" || strings.Contains(text, "::") {
			return Token{}, errors.New("invalid token format")
		}
		// As k3s does: a short token may hold user and password.
		if user, password, ok := strings.Cut(text, ":"); ok && (user == ServerUser || user == NodeUser) {
			return Token{User: user, Password: password}, nil
		}
		return Token{Password: text}, nil
	}
	user, password, ok := strings.Cut(rest, ":")
	if _, err := hex.DecodeString(hash); err != nil || len(hash) != 64 || !ok || user == "" || password == "" {
		return Token{}, errors.New("invalid token format")
	}
	return Token{CAHash: hash, User: user, Password: password}, nil
}

// Format returns the full form, which pins the CA.
func Format(ca []byte, user, password string) string {
	return "K10" + HashCA(ca) + "::" + user + ":" + password
}

// HashCA returns the hash of a CA certificate that a full token holds.
func HashCA(ca []byte) string {
	sum := sha256.Sum256(ca)
	return hex.EncodeToString(sum[:])
}

// Equal compares passwords in constant time.
func Equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Random returns a new password.
func Random() string {
	var data [16]byte
	_, _ = rand.Read(data[:]) // it never fails
	return hex.EncodeToString(data[:])
}

// Name returns the name of what is sealed with a password. It tells whether
// the password is the one without showing it.
func Name(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])[:12]
}

// keyRounds makes guessing passwords slow.
const keyRounds = 100_000

// Seal encrypts data under a password.
func Seal(password string, data []byte) ([]byte, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	aead, err := newAEAD(password, salt)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return aead.Seal(append(salt, nonce...), nonce, data, nil), nil
}

// Open decrypts what Seal made.
func Open(password string, sealed []byte) ([]byte, error) {
	const salt = 16
	if len(sealed) < salt {
		return nil, errors.New("opening the cluster's secrets: too short")
	}
	aead, err := newAEAD(password, sealed[:salt])
	if err != nil {
		return nil, err
	}
	if len(sealed) < salt+aead.NonceSize() {
		return nil, errors.New("opening the cluster's secrets: too short")
	}
	nonce, rest := sealed[salt:salt+aead.NonceSize()], sealed[salt+aead.NonceSize():]
	data, err := aead.Open(nil, nonce, rest, nil)
	if err != nil {
		return nil, fmt.Errorf("opening the cluster's secrets: %w", err)
	}
	return data, nil
}

func newAEAD(password string, salt []byte) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, password, salt, keyRounds, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// HashPassword returns what is stored of a node's password.
func HashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	return hashPassword(password, salt)
}

// CheckPassword says whether hash came from HashPassword of the password.
func CheckPassword(password, hash string) bool {
	salt, err := hex.DecodeString(strings.SplitN(hash, ":", 2)[0])
	return err == nil && Equal(hashPassword(password, salt), hash)
}

func hashPassword(password string, salt []byte) string {
	// Node passwords are random, so that one round is enough.
	sum := sha256.Sum256(append(salt, password...))
	return hex.EncodeToString(salt) + ":" + hex.EncodeToString(sum[:])
}
