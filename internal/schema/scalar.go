package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
)

// text checks a string.
func (w *walk) text(n *node, s string) {
	if !w.definition {
		w.builtinFormat(n.format, s)
		return
	}
	if !knownFormat(n.format, s) {
		w.add(InvalidValue, "", "%s%s must have the format %s", w.here(), w.shown(s), n.format)
	}
	if n.limits == nil {
		return
	}
	w.between(utf8.RuneCountInString(s), "characters", n.limits, func(l *limits) (*int64, *int64) { return l.minLength, l.maxLength })
	if p := n.limits.pattern; p != nil && !p.MatchString(s) {
		w.add(InvalidValue, "", "%s%s must match %s", w.here(), w.shown(s), p)
	}
}

// builtinFormat checks what the types of Kubernetes refuse when they are decoded.
func (w *walk) builtinFormat(format, s string) {
	switch format {
	case "quantity":
		if _, err := resource.ParseQuantity(s); err != nil {
			w.add(InvalidValue, "", "%s%s must be a quantity, for example 100m or 1Gi", w.here(), w.shown(s))
		}
	case "byte":
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			w.add(InvalidValue, "", "%s must be base64", w.here())
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, s); err != nil && s != "" {
			w.add(InvalidValue, "write for example 2006-01-02T15:04:05Z", "%s%s must be a time", w.here(), w.shown(s))
		}
	}
}

// knownFormat checks the formats of which apiextensions-apiserver says that definitions
// support them (pkg/apiserver/validation/formats.go); others say nothing.
func knownFormat(format, s string) bool {
	switch format {
	case "", "date-time", "password", "int32", "int64", "float", "double", "int-or-string":
		// date-time is no format there but datetime, to which its name is normalized.
		if format == "date-time" {
			return strfmt.Default.Validates("datetime", s)
		}
		return true
	case "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5",
		"isbn", "isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "date", "duration", "datetime",
		"k8s-short-name", "k8s-long-name":
		return strfmt.Default.Validates(format, s)
	}
	return true
}

// number checks a number.
func (w *walk) number(n *node, value float64, whole bool) {
	integer := n.types&integerType != 0
	if integer && n.format == "int32" && (value < math.MinInt32 || value > math.MaxInt32) {
		w.add(InvalidValue, "", "%s does not fit in 32 bits", w.here())
		return
	}
	if integer && whole && (value < math.MinInt64 || value >= math.MaxInt64) {
		w.add(InvalidValue, "", "%s does not fit in 64 bits", w.here())
		return
	}
	l := n.limits
	if l == nil {
		return
	}
	if l.minimum != nil && (value < *l.minimum || l.aboveMinimum && value == *l.minimum) {
		w.add(InvalidValue, "", "%s%s must be %s", w.here(), w.shown(value), bound("at least", "more than", l.aboveMinimum, *l.minimum))
	}
	if l.maximum != nil && (value > *l.maximum || l.belowMaximum && value == *l.maximum) {
		w.add(InvalidValue, "", "%s%s must be %s", w.here(), w.shown(value), bound("at most", "less than", l.belowMaximum, *l.maximum))
	}
	if l.multiple > 0 {
		if quotient := value / l.multiple; quotient != math.Trunc(quotient) {
			w.add(InvalidValue, "", "%s%s must be a multiple of %s", w.here(), w.shown(value), decimal(l.multiple))
		}
	}
}

func bound(with, without string, excluded bool, limit float64) string {
	if excluded {
		return without + " " + decimal(limit)
	}
	return with + " " + decimal(limit)
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// between checks a count against limits that may not be there.
func (w *walk) between(count int, of string, l *limits, pick func(*limits) (least, most *int64)) {
	if l == nil {
		return
	}
	least, most := pick(l)
	switch {
	case least != nil && int64(count) < *least:
		w.add(InvalidValue, "", "%s has %d %s, must have at least %d", w.here(), count, of, *least)
	case most != nil && int64(count) > *most:
		w.add(InvalidValue, "", "%s has %d %s, must have at most %d", w.here(), count, of, *most)
	}
}

// choice checks a value against those that are allowed.
func (w *walk) choice(n *node, value any) {
	if !w.definition && value == "" {
		return // the same as not there
	}
	is := canonical(value)
	var allowed []string
	for _, each := range n.enum {
		if canonical(each) == is {
			return
		}
		if s, ok := each.(string); ok && s != "" {
			allowed = append(allowed, s)
		} else {
			allowed = append(allowed, canonical(each))
		}
	}
	fix := ""
	if s, ok := value.(string); ok {
		if i := slices.IndexFunc(allowed, func(a string) bool { return strings.EqualFold(a, s) }); i >= 0 {
			fix = "write " + allowed[i]
		}
	}
	w.add(InvalidValue, fix, "%s%s must be one of %s", w.here(), w.shown(value), strings.Join(allowed, ", "))
}

// numberOf returns a number whatever Go type the reader of the file gave it.
func numberOf(value any) (number float64, whole, ok bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true, true
	case int:
		return float64(v), true, true
	case int32:
		return float64(v), true, true
	case uint64:
		return float64(v), true, true
	case uint:
		return float64(v), true, true
	case float64:
		return v, v == math.Trunc(v) && !math.IsInf(v, 0), !math.IsNaN(v) && !math.IsInf(v, 0)
	case float32:
		return numberOf(float64(v))
	case json.Number:
		f, err := v.Float64()
		return f, err == nil && f == math.Trunc(f), err == nil
	}
	return 0, false, false
}

// canonical is the same text for the same value.
func canonical(value any) string {
	if number, _, ok := numberOf(value); ok {
		return decimal(number)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}

// shown is a short value for a message, or nothing where it could be a secret.
func (w *walk) shown(value any) string {
	if w.secret {
		return ""
	}
	if number, _, ok := numberOf(value); ok {
		return " is " + decimal(number) + ","
	}
	if s, ok := value.(string); ok {
		return " is " + quoted(s) + ","
	}
	return ""
}

const maxShown = 60

// quoted is a text for a message, cut when it is long.
func quoted(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "..."
	}
	return strconv.Quote(s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	}
	if _, whole, ok := numberOf(value); ok {
		if whole {
			return "an integer"
		}
		return "a number"
	}
	return "nothing that JSON has"
}

// String names the types for a message.
func (t types) String() string {
	var names []string
	for _, each := range []struct {
		is   types
		name string
	}{
		{stringType, "a string"}, {integerType, "an integer"}, {numberType, "a number"},
		{booleanType, "a boolean"}, {objectType, "an object"}, {arrayType, "a list"},
	} {
		if t&each.is != 0 {
			names = append(names, each.name)
		}
	}
	if len(names) == 0 {
		return "something else"
	}
	return strings.Join(names, " or ")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
