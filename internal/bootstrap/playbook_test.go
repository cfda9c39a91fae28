package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// events is what the callback plugin says of a run that fails.
const events = `{"event": "start", "playbook": "site.yml"}
{"event": "play", "play": "Set up", "hosts": ["site-a-server-1"]}
{"event": "task", "task": "Write config.yaml", "role": "k3s_server", "path": "x:1"}
{"event": "changed", "host": "site-a-server-1", "task": "Write config.yaml", "role": "k3s_server", "msg": "", "duration": 0.1}
{"event": "ok", "host": "site-a-agent-1", "task": "Look", "role": "", "msg": ""}
{"event": "retry", "host": "site-a-agent-1", "task": "Wait", "role": "k3s", "attempt": 2, "retries": 30}
{"event": "failed", "host": "site-a-server-1", "task": "Start k3s", "role": "k3s", "msg": "it ended: canary-5f1d0c9e7b \u001b[31m"}
{"event": "unreachable", "host": "site-a-server-2", "task": "Start k3s", "role": "k3s", "msg": "gone"}
{"event": "stats", "hosts": {"site-a-server-1": {"ok": 3, "failures": 1, "unreachable": 0, "changed": 1, "skipped": 0, "rescued": 0, "ignored": 0}}}
`

func playbookOf(t *testing.T, events, end string) *Ansible {
	t.Helper()
	a := testAnsible(t, `#!/bin/sh
tr '\0' '\n' </proc/$$/environ >"${0%/*}/environ"
tr '\0' '\n' </proc/$$/cmdline >"${0%/*}/cmdline"
cat <"/dev/fd/3" >"${0%/*}/variables"
cat "${0%/*}/events" >&4
`+end)
	if err := os.WriteFile(filepath.Join(a.Cache, "events"), []byte(events), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPlay(t *testing.T) {
	a := playbookOf(t, events, "exit 2\n")
	a.Inventories = []string{"/extra.yml"}
	a.Environ = append(a.Environ, "ANSIBLE_LOG_PATH=/leak")
	view := &recorder{}
	outcome, err := a.Play(t.Context(), testSite(), Play{
		Playbook: "site", Limit: []string{"a", "b"}, Check: true,
		Variables: map[string]any{"site_name": "site-a", "flux_bootstrap_flux_b64": "eA=="},
		Secrets: map[string]any{
			"k3s_server_token": unlikely, "k3s_agent_token": "agent-" + unlikely, "sops_age_identities": []any{unlikely},
			"wireguard_private_keys": map[string]any{"site-a-server-1": "one", "site-a-server-2": "two"},
		},
	}, view)
	failed, ok := errors.AsType[*PlayError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	check(t, "error", failed, `site-a: site-a-server-1: task "k3s: Start k3s" failed: it ended: ***** `+"\x1b[31m"+` (on site-a-server-2 too)`)
	check(t, "changes", outcome.Changes, []Change{{"site-a-server-1", "k3s_server: Write config.yaml"}})
	check(t, "counts", outcome.Hosts, map[string]Counts{"site-a-server-1": {OK: 3, Failed: 1, Changed: 1}})
	for _, want := range []string{"set site-a: k3s_server: Write config.yaml", "set site-a-agent-1: k3s: Wait: not yet, asked 2 times", "fail site-a-server-1: failed: k3s: Start k3s"} {
		if !strings.Contains(view.text(), want) {
			t.Errorf("%s is not shown:\n%s", want, view.text())
		}
	}
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(a.Cache, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	if got := read("cmdline"); !strings.HasSuffix(got, "-i\ninventories/fleet.yml\n-i\ninventories/site-a\n-i\n/extra.yml\n-i\n/dev/fd/3\nplaybooks/site.yml\n--check\n--diff\n--limit\na,b\n") {
		t.Errorf("the arguments are\n%s", got)
	}
	env := read("environ")
	if strings.Contains(env, "/leak") || !strings.Contains(env, "ARCHIPEL_EVENTS_FD=4") {
		t.Errorf("the environment is\n%s", env)
	}
	for name, text := range map[string]string{"arguments": read("cmdline"), "environment": env, "view": view.text(), "error": err.Error()} {
		if strings.Contains(text, unlikely) {
			t.Errorf("a secret is in the %s", name)
		}
	}
	var inventory struct {
		All struct {
			Hosts map[string]map[string]any
		}
	}
	if err := json.Unmarshal([]byte(read("variables")), &inventory); err != nil {
		t.Fatal(err)
	}
	hosts := inventory.All.Hosts
	check(t, "first", hosts["site-a-server-1"], map[string]any{
		"site_name": "site-a", "flux_bootstrap_flux_b64": "eA==", "k3s_server_token": unlikely, "k3s_agent_token": "agent-" + unlikely,
		"wireguard_private_keys": map[string]any{"site-a-server-1": "one"},
	})
	check(t, "second", hosts["site-a-server-2"], map[string]any{
		"site_name": "site-a", "k3s_server_token": unlikely, "k3s_agent_token": "agent-" + unlikely, "wireguard_private_keys": map[string]any{"site-a-server-2": "two"},
	})
	check(t, "agent", hosts["site-a-agent-1"], map[string]any{"site_name": "site-a", "k3s_agent_token": "agent-" + unlikely, "wireguard_private_keys": map[string]any{}})
}

func TestPlayEnds(t *testing.T) {
	outcome, err := playbookOf(t, `{"event": "changed", "host": "site-a-agent-1", "task": "x"}`+"\n", "exit 0\n").Play(t.Context(), testSite(), Play{Playbook: "site"}, &recorder{})
	if err != nil || len(outcome.Changes) != 1 {
		t.Errorf("got %+v, %v", outcome, err)
	}
	if _, err := playbookOf(t, events, "exit 0\n").Play(t.Context(), testSite(), Play{Playbook: "site"}, &recorder{}); err != nil {
		t.Errorf("got %v", err)
	}
	// A playbook that cannot be read gives no event.
	_, err = playbookOf(t, "", "echo 'ERROR! no such role'; exit 4\n").Play(t.Context(), testSite(), Play{Playbook: "site"}, &recorder{})
	if err == nil || !strings.Contains(err.Error(), "the playbook site failed:\n  ERROR! no such role") {
		t.Errorf("got %v", err)
	}
	for _, wrong := range []string{"no JSON\n", `{"event": ""}` + "\n", `{"event": "ok", "host": "somebody"}` + "\n", `{"event": "` + strings.Repeat("x", maxEvent) + `"}` + "\n"} {
		if _, err := playbookOf(t, wrong+events, "exit 0\n").Play(t.Context(), testSite(), Play{Playbook: "site"}, &recorder{}); err == nil || !strings.Contains(err.Error(), "reading the events of Ansible") {
			t.Errorf("%.20q: got %v", wrong, err)
		}
	}
}

// Ctrl-C interrupts Ansible, and waits until it has left its hosts.
func TestPlayInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := playbookOf(t, events, "trap 'sleep 0.2; echo left >\"${0%/*}/left\"; exit 99' INT\ntouch \"${0%/*}/ready\"\nwhile :; do sleep 0.05; done\n")
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(a.Cache, "ready")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if _, err := a.Play(ctx, testSite(), Play{Playbook: "site"}, &recorder{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(a.Cache, "left")); err != nil {
		t.Error("Ansible was not waited for")
	}
}

func TestMasker(t *testing.T) {
	mask := masker(map[string]any{"a": []any{unlikely}, "b": map[string]any{"c": "first-line-of-it\nsecond-line-of-it"}, "d": "short", "e": 7})
	check(t, "text", mask.Replace("x "+unlikely+" first-line-of-it short"), "x ***** ***** short")
}
