package render

import (
	"maps"
	"slices"
	"strings"
)

// secretValues are texts that came out of Secrets.
type secretValues map[string]bool

// shortSecret is the length, in bytes, below which a secret value is told only when it
// stands alone: a short one is part of too many texts.
const shortSecret = 6

func (s *secretValues) add(text string) {
	if *s == nil {
		*s = secretValues{}
	}
	if text = strings.TrimSpace(text); text != "" {
		(*s)[text] = true
	}
}

// Secret says whether text holds a value that came out of a Secret, as far as archipel
// knows them: those that were decrypted, and those that substitution put in.
func (r *Result) Secret(text string) bool {
	if r.secrets[strings.TrimSpace(text)] {
		return true
	}
	for value := range r.secrets {
		if len(value) >= shortSecret && strings.Contains(text, value) {
			return true
		}
	}
	return false
}

// Mask stands for what is not shown.
const Mask = "*****"

// Masked is an object as it may be printed: without the values of a Secret, and without
// the texts elsewhere that hold a value that came out of one. masked says whether
// anything was left out.
func (r *Result) Masked(o *Object) (object map[string]any, masked bool) {
	secret := o.GetKind() == "Secret" && o.GetAPIVersion() == "v1"
	if !secret && len(r.secrets) == 0 {
		return o.Object, false
	}
	object, _ = r.mask(o.Object, &masked).(map[string]any)
	if secret {
		for _, field := range []string{"data", "stringData"} {
			values, ok := object[field].(map[string]any)
			if !ok {
				continue
			}
			hidden := make(map[string]any, len(values))
			for key := range values {
				hidden[key] = Mask
			}
			if !masked {
				object = maps.Clone(object)
			}
			object[field], masked = hidden, true
		}
	}
	return object, masked
}

// mask returns value itself when nothing in it is masked.
func (r *Result) mask(value any, masked *bool) any {
	switch v := value.(type) {
	case string:
		if r.Secret(v) {
			*masked = true
			return Mask
		}
	case map[string]any:
		var changed map[string]any
		for key, old := range v {
			here := false
			if now := r.mask(old, &here); here {
				if changed == nil {
					changed = maps.Clone(v)
				}
				changed[key], *masked = now, true
			}
		}
		if changed != nil {
			return changed
		}
	case []any:
		var changed []any
		for i, old := range v {
			here := false
			if now := r.mask(old, &here); here {
				if changed == nil {
					changed = slices.Clone(v)
				}
				changed[i], *masked = now, true
			}
		}
		if changed != nil {
			return changed
		}
	}
	return value
}
