package token

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for text, want := range map[string]Token{
		"secret":                             {Password: "secret"},
		"\tsecret\n":                         {Password: "secret"},
		"server:secret":                      {User: "server", Password: "secret"},
		"other:secret":                       {Password: "other:secret"},
		"K10secret":                          {Password: "K10secret"},
		"K10" + hash + "::server:secret":     {hash, "server", "secret"},
		"K10" + hash + "::node:a:b":          {hash, "node", "a:b"},
		"K10" + hash + "::server:secret\n\n": {hash, "server", "secret"},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "K10::server:a", "K10ab::server:a", "K10" + hash + "::server:", "K10" + hash + "::secret", "a::b", "K10" + strings.Repeat("zz", 32) + "::server:a"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is accepted as %+v", text, got)
		}
	}
}

func TestFormat(t *testing.T) {
	text := Format([]byte("certificate"), ServerUser, "secret")
	got, err := Parse(text)
	if err != nil || got != (Token{HashCA([]byte("certificate")), ServerUser, "secret"}) {
		t.Errorf("%s: got %+v, %v", text, got, err)
	}
}

func TestSeal(t *testing.T) {
	sealed, err := Seal("right", []byte("secrets"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := Open("right", sealed); err != nil || string(data) != "secrets" {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := Open("wrong", sealed); err == nil {
		t.Error("another password opens it")
	}
	for _, cut := range []int{0, 10, 20, len(sealed) - 1} {
		if _, err := Open("right", sealed[:cut]); err == nil {
			t.Errorf("%d bytes of it open", cut)
		}
	}
	again, err := Seal("right", []byte("secrets"))
	if err != nil || string(again) == string(sealed) {
		t.Errorf("it is sealed the same way twice (%v)", err)
	}
}

func TestPassword(t *testing.T) {
	hash := HashPassword("secret")
	for password, want := range map[string]bool{"secret": true, "other": false, "": false} {
		if CheckPassword(password, hash) != want {
			t.Errorf("%q: not %v", password, want)
		}
	}
	for _, hash := range []string{"", ":", "zz:00", strings.TrimSuffix(hash, hash[len(hash)-1:])} {
		if CheckPassword("secret", hash) {
			t.Errorf("the hash %q is good", hash)
		}
	}
}
