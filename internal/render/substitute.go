package render

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
)

// variable is what substitution puts in place of ${name}.
type variable struct {
	value   string
	secret  bool // a Secret gave it
	unknown bool // it could not be decrypted here
}

var variableName = regexp.MustCompile(`^[_[:alpha:]][_[:alpha:][:digit:]]*$`)

// Opting out of substitution, as kustomize-controller documents it.
const substitutionDisabled = "kustomize.toolkit.fluxcd.io/substitute"

// substituted is what became of a text.
type substituted struct {
	text    string
	used    []string // names of the variables that stand in it, sorted
	missing []string // those that have neither value nor default, sorted: Flux refuses
	opaque  bool     // a variable whose value is not known here stands in it
	secret  bool     // a variable that a Secret gave stands in it
}

// Bounds on one substitution.
const (
	maxValue        = 1 << 20  // bytes of a variable
	maxReplaced     = 2 << 10  // bytes of a variable where a text replaces parts of one
	maxSubstituted  = 16 << 20 // bytes of all values put into one text
	maxNesting      = 32       // of ${a:-${b}}
	maxReplacements = 100      // of ${a//b/c} in one text
	maxMissing      = 50       // variables without a value that one text is searched for
)

// notSet is envsubst's error in strict mode.
var notSet = regexp.MustCompile(`variable not set \(strict mode\): "([^"]+)"$`)

// substitute puts variables into a text as kustomize-controller does in strict mode,
// its default since 1.9: a variable that has no value, where no default stands, is
// refused. It is named in missing, and stands in the result as it was.
func substitute(text string, variables map[string]variable) (substituted, error) {
	replaces, err := bounded(text)
	if err != nil {
		return substituted{}, err
	}
	out := substituted{}
	missing := map[string]bool{}
	for {
		size, tooLarge := 0, false
		out.used = nil
		out.text, err = envsubst.Eval(text, func(name string) (string, bool) {
			out.used = append(out.used, name)
			v, ok := variables[name]
			if !ok && missing[name] {
				return "${" + name + "}", true
			}
			if !ok {
				return "", false
			}
			out.secret = out.secret || v.secret
			if v.unknown {
				out.opaque = true
				return "${" + name + "}", true
			}
			size += len(v.value)
			if len(v.value) > maxValue || replaces && len(v.value) > maxReplaced || size > maxSubstituted {
				tooLarge = true
				return "", true
			}
			return v.value, true
		})
		if tooLarge {
			return out, errors.New("what would be put in is too large")
		}
		if err == nil {
			break
		}
		name := notSet.FindStringSubmatch(err.Error())
		if name == nil || missing[name[1]] || len(missing) == maxMissing {
			return out, errors.New("the variables in it cannot be read: " + line(err))
		}
		missing[name[1]] = true
	}
	out.missing = slices.Sorted(maps.Keys(missing))
	slices.Sort(out.used)
	out.used = slices.Compact(out.used)
	return out, nil
}

// bounded refuses a text whose substitution could take unbounded memory or depth,
// and says whether it replaces parts of variables.
func bounded(text string) (replaces bool, err error) {
	var inReplacement []bool
	count := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			if len(inReplacement) > 0 && inReplacement[len(inReplacement)-1] {
				return false, errors.New("a variable stands inside a replacement (${a/b/${c}}), which archipel does not follow")
			}
			end := i + 2
			for end < len(text) && (text[end] == '_' || text[end] >= '0' && text[end] <= '9' || text[end] >= 'A' && text[end] <= 'Z' || text[end] >= 'a' && text[end] <= 'z') {
				end++
			}
			replacement := end < len(text) && text[end] == '/'
			if replacement {
				replaces = true
				count++
			}
			inReplacement = append(inReplacement, replacement)
			if len(inReplacement) > maxNesting || count > maxReplacements {
				return false, fmt.Errorf("it nests more than %d variables, or replaces more than %d times", maxNesting, maxReplacements)
			}
			i++
		case text[i] == '}' && len(inReplacement) > 0:
			inReplacement = inReplacement[:len(inReplacement)-1]
		}
	}
	return replaces, nil
}
