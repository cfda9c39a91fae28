package guard

import (
	"bytes"
	"encoding/base64"
	"regexp"

	"archipel/internal/finding"
)

// pattern is how a kind of key looks.
type pattern struct {
	what  string                // follows "this is"
	marks []string              // one of them is in any text that has a match: looking for them costs next to nothing
	match string                // a regular expression, compiled for the few texts with a mark
	group int                   // of match, that is the key
	is    func(key []byte) bool // nil: always
}

// pem is in parts, because whoever searches for keys would take the whole for one.
const pem = "-----BEGIN " + "[A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----"

func privateKeys() []pattern {
	return []pattern{
		{what: "a private key", marks: []string{"AGE-SECRET-KEY-"}, match: `AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{20}`},
		{what: "a private key", marks: []string{"PRIVATE KEY"}, match: pem},
		// PEM in base64: client-key-data of a kubeconfig.
		{what: "a private key", marks: []string{"LS0tLS1CRUdJTi"}, match: `LS0tLS1CRUdJTi[A-Za-z0-9+/]{46,}`, is: wraps},
		// 32 bytes in base64 after a name that says they are private; in a mapping by node too.
		{
			what: "a private key of WireGuard", group: 1,
			marks: []string{"rivateKey", "rivate_key", "rivate-key", "RIVATE_KEY", "haredKey", "hared_key", "hared-key", "HARED_KEY"},
			match: `(?i:(?:private|pre-?shared)[_-]?keys?)["']?\s*[:=]\s*(?:["']?[\w.-]+["']?:\s*)?["']?` +
				`([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)(?:[^A-Za-z0-9+/=]|$)`,
		},
	}
}

func tokens() []pattern {
	return []pattern{
		// What servers and agents join with: https://docs.k3s.io/cli/token.
		{what: "a token of k3s", marks: []string{"K10"}, match: `\bK10[0-9a-f]{64}::[A-Za-z0-9._-]+(:[^\s"']+)?`},
		{
			what: "a token of GitHub", marks: []string{"gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_"},
			match: `\b(gh[oprsu]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{82})\b`,
		},
		{what: "a token of GitLab", marks: []string{"glpat-"}, match: `\bglpat-[0-9A-Za-z_-]{20}`},
		{
			what: "an access key of AWS", marks: []string{"ABIA", "ACCA", "AKIA", "ASIA"}, match: `\b(?:ABIA|ACCA|AKIA|ASIA)[A-Z2-7]{16}\b`,
			is: func(key []byte) bool { return !bytes.HasSuffix(key, []byte("EXAMPLE")) }, // of AWS's documentation
		},
	}
}

// wraps says whether base64 begins with the beginning of a private key in PEM.
func wraps(key []byte) bool {
	plain := make([]byte, base64.RawStdEncoding.DecodedLen(len(key)))
	n, _ := base64.RawStdEncoding.Decode(plain, key[:len(key)/4*4]) // what it read before a fault counts
	return regexp.MustCompile(pem).Match(plain[:n])
}

// PrivateKeys finds the private keys in what a file holds: of age and WireGuard, and in PEM.
func PrivateKeys(name string, data []byte) []finding.Finding {
	return find(RulePrivateKey, name, data, privateKeys(), "replace the key everywhere, then remove it here")
}

// Tokens finds the tokens of k3s, GitHub, GitLab and AWS in what a file holds.
func Tokens(name string, data []byte) []finding.Finding {
	return find(RuleToken, name, data, tokens(), "replace the token everywhere, then remove it here")
}

// mostFound bounds the findings of one kind in one file.
const mostFound = 10

func find(rule, name string, data []byte, patterns []pattern, fix string) []finding.Finding {
	var found []finding.Finding
	for _, p := range patterns {
		marked := false
		for _, mark := range p.marks {
			marked = marked || bytes.Contains(data, []byte(mark))
		}
		if !marked {
			continue
		}
		for _, at := range regexp.MustCompile(p.match).FindAllSubmatchIndex(data, mostFound) {
			from, to := at[2*p.group], at[2*p.group+1]
			if p.is == nil || p.is(data[from:to]) {
				found = append(found, veiled(rule, position(name, data, from), fix, "this is %s", p.what))
			}
		}
	}
	return found
}

// position is the place of a byte of a file.
func position(name string, data []byte, at int) finding.Position {
	return finding.Position{File: name, Line: bytes.Count(data[:at], []byte("\n")) + 1, Column: at - bytes.LastIndexByte(data[:at], '\n')}
}
