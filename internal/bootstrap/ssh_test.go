package bootstrap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogin(t *testing.T) {
	h := testSite().Hosts[0]
	check(t, "plain", h.Login(), "ssh ansible@198.51.100.11")
	h.Port, h.Key, h.Args = 2222, "/a b/key", []string{"-o", "UserKnownHostsFile=/x"}
	check(t, "all", h.Login(), "ssh -p 2222 -i '/a b/key' -o UserKnownHostsFile=/x ansible@198.51.100.11")
}

// What ssh says of a host, and what archipel makes of it. The texts are OpenSSH 9.2's.
func TestExplainSSH(t *testing.T) {
	for name, test := range map[string]struct{ says, reason, fix string }{
		"unknown key": {"No ED25519 host key is known for 198.51.100.11 and you have requested strict checking.\nHost key verification failed.", "ssh does not know its host key", "accept it once: ssh ansible@198.51.100.11"},
		"other key":   {"@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.", "another one", "ssh-keygen -R 198.51.100.11"},
		"login":       {"ansible@198.51.100.11: Permission denied (publickey).", "refuses the login: Permission denied (publickey).", "ssh-copy-id ansible@198.51.100.11"},
		"refused":     {"ssh: connect to host 198.51.100.11 port 22: Connection refused", "nothing listens for ssh", "start sshd"},
		"timeout":     {"ssh: connect to host 198.51.100.11 port 22: Connection timed out", "nothing answers at 198.51.100.11", "start the host"},
		"route":       {"ssh: connect to host 198.51.100.11 port 22: No route to host", "nothing answers", "ansible_host"},
		"name":        {"ssh: Could not resolve hostname a.example: Name or service not known", "has no address", "correct ansible_host"},
		"other":       {"kex_exchange_identification: Connection closed by remote host", "Connection closed", "try it: ssh"},
		"nothing":     {"", "gives no reason", "try it: ssh"},
	} {
		t.Run(name, func(t *testing.T) {
			a := testAnsible(t, "")
			dir := filepath.Dir(a.SSH)
			if err := errors.Join(os.WriteFile(filepath.Join(dir, "says"), []byte(test.says), 0o600),
				os.WriteFile(a.SSH, []byte("#!/bin/sh\ncat "+filepath.Join(dir, "says")+" >&2\nexit 255\n"), 0o755)); err != nil {
				t.Fatal(err)
			}
			_, err := a.Ask(t.Context(), testSite().Hosts[0], nil, "true")
			e, ok := errors.AsType[*SSHError](err)
			if !ok || !strings.Contains(e.Reason, test.reason) || !strings.Contains(e.Fix, test.fix) {
				t.Errorf("got %+v", err)
			}
		})
	}
}

func TestAsk(t *testing.T) {
	a := testAnsible(t, "")
	h := testSite().Hosts[0]
	out, err := a.Ask(t.Context(), h, strings.NewReader("in"), "sh", "-c", `printf '%s|' "$@"; cat`, "sh", "a b", `'"$x`, "")
	if err != nil || string(out) != `a b|'"$x||in` {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := a.Sudo(t.Context(), h, "sh", "-c", "echo no such thing >&2; exit 2"); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
	var w bytes.Buffer
	if err := a.Download(t.Context(), h, &w, "printf", "%s", "x y"); err != nil || w.String() != "x y" {
		t.Errorf("got %q, %v", w.String(), err)
	}
	args := strings.Join(a.sshArgs(h, shared, "true"), " ")
	if !strings.HasPrefix(args, "-o BatchMode=yes -o StrictHostKeyChecking=yes ") {
		t.Errorf("host keys are not checked: %s", args)
	}
}
