package bootstrap

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseInventory(t *testing.T) {
	answer := func(vars string) []byte {
		return fmt.Appendf(nil, `{"_meta": {"hostvars": {"site-a-server-1": %s, "site-a-server-2": {}, "site-a-agent-1": {}}}, "all": {"children": []}}`, vars)
	}
	for name, test := range map[string]struct {
		answer string
		want   string // of the first host's destination, or of the error
	}{
		"nothing":  {string(answer(`{}`)), "-- 198.51.100.11"},
		"all":      {string(answer(`{"ansible_host": "192.0.2.1", "ansible_port": 2222, "ansible_user": "ops", "ansible_ssh_private_key_file": "/k", "ansible_ssh_common_args": "-o UserKnownHostsFile='/a b'"}`)), "-o Port=2222 -o IdentityFile=/k -o UserKnownHostsFile=/a b -o User=ops -- 192.0.2.1"},
		"port":     {string(answer(`{"ansible_port": "ssh"}`)), `ansible_port is "ssh"`},
		"template": {string(answer(`{"ansible_user": "{{ me }}"}`)), "ansible_user holds a template"},
		"option":   {string(answer(`{"ansible_host": "-oProxyCommand=x"}`)), "begins with a dash"},
		"quote":    {string(answer(`{"ansible_ssh_common_args": "-o 'x"}`)), "a quote is not closed"},
		"no JSON":  {"[WARNING]", "gave no JSON"},
		"no host":  {`{"_meta": {"hostvars": {}}}`, "knows no host site-a-server-1"},
	} {
		t.Run(name, func(t *testing.T) {
			site, err := parseInventory([]byte(test.answer), testSite().Site)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			check(t, "destination", strings.Join(site.Hosts[0].destination(), " "), test.want)
		})
	}
	site, err := parseInventory(answer(`{"node_base_allow_debian": true}`), testSite().Site)
	if err != nil || !site.Hosts[0].AllowDebian || site.Hosts[1].AllowDebian || len(site.Servers()) != 2 {
		t.Errorf("got %+v, %v", site, err)
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "a  b": {"a", "b"}, `a\ b`: {"a b"}, `'a "b'c`: {`a "bc`}, `"a\"b"`: {`a"b`}, `''`: {""}, `'a\b'`: {`a\b`},
	} {
		got, err := splitWords(text)
		if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
}
