package diff

import (
	"fmt"
	"regexp"
	"strings"
)

// masker decides which values are not shown.
type masker struct {
	kindSecret bool              // the object is a Secret
	secret     func(string) bool // whether a text holds a value that came out of a Secret
}

// secretKey matches the keys under which secrets stand, but not those that only
// name one (secretName) or say something of it (tokenTTL).
var secretKey = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|private[_-]?key|api[_-]?key|access[_-]?key|secret[_-]?key|credentials?|psk|htpasswd)$`)

// secretText matches the forms of age, SOPS, PEM, credentials in URLs, and the
// tokens of GitHub and GitLab.
var secretText = regexp.MustCompile(`AGE-SECRET-KEY-|ENC\[|-----BEGIN|://[^/\s@]*:[^/\s@]*@|\b(gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{10}` +
	`|(?i)(pass(word|wd|phrase)?|token|api[_-]?key|secret)["']?\s*[=:]\s*\S`)

// hides reports whether the scalar at a path must not be shown.
func (m masker) hides(path steps, v any) bool {
	if m.kindSecret && len(path) > 0 && (path[0].key == "data" || path[0].key == "stringData") {
		return true
	}
	text, isText := v.(string)
	if !isText {
		text = fmt.Sprint(v)
	}
	if v == nil || text == "" {
		return false
	}
	if m.kindSecret && len(path) > 1 && path[1].key == "annotations" && strings.Contains(text, "data") {
		return true // what kubectl apply leaves holds the whole object
	}
	if m.secret != nil && m.secret(text) {
		return true
	}
	return isText && (named(path) || secretText.MatchString(text))
}

// named reports whether a path says that its value is secret. The value of an
// environment variable has the name in the entry above it.
func named(path steps) bool {
	if n := len(path); n > 1 && path[n-1].key == "value" && path[n-2].entry {
		return secretKey.MatchString(path[n-2].key)
	} else if n > 0 {
		last := path[n-1]
		for n > 1 && last.entry && last.key == "" { // an entry of a list of texts
			n--
			last = path[n-1]
		}
		return secretKey.MatchString(last.key)
	}
	return false
}

// masked stands for a value inside a larger one that is not shown.
const masked = "(not shown)"

// value returns a value without what must not be shown; hidden says that
// nothing of it may be.
func (m masker) value(path steps, v any, depth int) (shown any, hidden bool) {
	if depth > maxDepth {
		return masked, false
	}
	switch x := v.(type) {
	case map[string]any:
		if m.kindSecret && len(path) == 1 && (path[0].key == "data" || path[0].key == "stringData") {
			return nil, true
		}
		name, _ := x["name"].(string)
		copied := make(map[string]any, len(x))
		for key, value := range x {
			next := path.with(step{key: key})
			if key == "value" && secretKey.MatchString(name) {
				copied[key] = masked
				continue
			}
			inner, hide := m.value(next, value, depth+1)
			if hide {
				inner = masked
			}
			copied[key] = inner
		}
		return copied, false
	case []any:
		copied := make([]any, len(x))
		for i, value := range x {
			inner, hide := m.value(path.with(step{entry: true}), value, depth+1)
			if hide {
				inner = masked
			}
			copied[i] = inner
		}
		return copied, false
	}
	return v, m.hides(path, v)
}
