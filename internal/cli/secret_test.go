package cli

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archipel/internal/secret"

	"golang.org/x/tools/txtar"
)

// The values that must be seen nowhere. What is made of them in a file, such as
// base64, would contain another text; SOPS encrypts them as they are.
const canary, canary2 = "canary-first-value", "canary-second-value"

// secretFleet is a fleet of two sites in a Git repository, whose user has nothing
// but a home folder. Programs that archipel starts leave what /proc tells of all
// processes in the file that it returns.
func secretFleet(t *testing.T) (dir, seen string) {
	t.Helper()
	work := t.TempDir()
	dir, seen = filepath.Join(work, "fleet"), filepath.Join(work, "seen")
	archive, err := txtar.ParseFile("../fleet/testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archive.Files {
		write(t, filepath.Join(dir, "kubernetes/ansible", file.Name), string(file.Data), 0o644)
	}
	spy := fmt.Sprintf("#!/bin/sh\ncat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>%s 2>/dev/null\n", seen)
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is missing")
	}
	write(t, filepath.Join(work, "bin/git"), spy+"exec "+git+` "$@"`+"\n", 0o755)
	write(t, filepath.Join(work, "bin/editor"), spy+"sed -i s/"+canary+"/"+canary2+"/ \"$1\"\n", 0o755)
	for _, folder := range []string{"home", "tmp"} {
		if err := os.Mkdir(filepath.Join(work, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for variable, value := range map[string]string{
		"PATH": filepath.Join(work, "bin") + ":" + os.Getenv("PATH"), "HOME": filepath.Join(work, "home"), "TMPDIR": filepath.Join(work, "tmp"),
		"XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": "", "SOPS_AGE_KEY": "", "SOPS_AGE_KEY_FILE": "", "SOPS_AGE_KEY_CMD": "", "KUBECONFIG": "",
		"USER": "ann", "EDITOR": "editor", "VISUAL": "", "SOPS_EDITOR": "",
	} {
		t.Setenv(variable, value)
	}
	command := exec.CommandContext(t.Context(), git, "init", "--quiet", dir)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir, seen
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// run runs archipel in the fleet.
func run(t *testing.T, dir, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), append([]string{"--dir", dir}, args...), strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// Every command works, and no value is seen but where it was asked for.
func TestSecretsStaySecret(t *testing.T) {
	dir, seen := secretFleet(t)
	file := filepath.Join(dir, secret.FluxFile("site-a", "app"))
	identityFile := filepath.Join(os.Getenv("HOME"), ".config/sops/age/keys.txt")
	_, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	manifest := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  password: " + canary + "\n"
	watch := []string{canary, canary2}
	for _, step := range []struct {
		stdin string
		code  int
		shows string // the one value that stdout may hold
		args  []string
	}{
		{"", 0, "", []string{"secret", "init"}},
		{canary, 0, "", []string{"secret", "init", "--git-user", "flux"}},
		{"", 0, "", []string{"secret", "init"}},
		{"", 0, "", []string{"secret", "encrypt", file}},
		{"", 0, "", []string{"secret", "encrypt", file}},
		{"", 0, canary, []string{"secret", "decrypt", file}},
		{"", 0, canary, []string{"secret", "get", file, "stringData/password"}},
		{"", 0, "", []string{"secret", "edit", file}},
		{"", 0, "", []string{"secret", "edit", file}},
		{"", 0, canary2, []string{"secret", "get", file, "stringData/password"}},
		{canary + "\n", 0, "", []string{"secret", "set", file, "stringData/password"}},
		{canary + "\n", 0, "", []string{"secret", "set", file, "stringData/password"}},
		{canary + "\n", 2, "", []string{"secret", "set", file, "metadata/name"}},
		{canary + "\n", 2, "", []string{"secret", "set", file, "stringData"}},
		{"", 2, "", []string{"secret", "set", file, "stringData/password"}},
		{"", 0, canary, []string{"secret", "get", file, "stringData/password"}},
		{"", 2, "", []string{"secret", "get", file, "stringData/none"}},
		{"", 0, "", []string{"secret", "list"}},
		{"", 0, "", []string{"secret", "list", "site-a", "--output", "json"}},
		{"", 0, "", []string{"secret", "doctor"}},
		{"", 0, "", []string{"secret", "doctor", "--offline", "--output", "json"}},
		{"", 2, "", []string{"secret", "recipients", "add", "maria", recipient}},
		{"", 0, "", []string{"secret", "recipients", "add", "maria", recipient, "--yes"}},
		{"", 0, "", []string{"secret", "recipients", "remove", "maria", "--yes"}},
		{"", 0, "", []string{"secret", "rotate", "--recipients", "--yes"}},
		{"", 0, "", []string{"secret", "rotate", "--data-keys", "--yes"}},
		{"", 2, "", []string{"secret", "rotate", "--data-keys"}},
		{"", 0, "", []string{"secret", "rotate", "--generated", "k3s-server-token", "site-a", "--yes"}},
		{"", 0, "", []string{"secret", "rotate", "--generated", "sops-age", "site-a", "--yes"}},
		{"", 0, "", []string{"secret", "rotate", "--generated", "mesh-ca", "--yes"}},
		{"", 2, "", []string{"secret", "rotate", "--generated", "sops-age", "--yes"}},
		{"", 2, "", []string{"secret", "rotate", "--generated", "nothing", "site-a"}},
		{"", 0, "", []string{"secret", "init"}},
	} {
		if step.args[1] == "encrypt" {
			if _, err := os.Stat(file); err != nil {
				write(t, file, manifest, 0o644)
			}
		}
		code, stdout, stderr := run(t, dir, step.stdin, step.args...)
		if code != step.code {
			t.Fatalf("%v: exit code %d\n%s%s", step.args, code, stdout, stderr)
		}
		if step.shows != "" {
			if !strings.Contains(stdout, step.shows) {
				t.Errorf("%v does not print the value", step.args)
			}
			stdout = strings.ReplaceAll(stdout, step.shows, "")
		}
		if identity, err := os.ReadFile(identityFile); err == nil && len(watch) == 2 {
			lines := strings.Split(strings.TrimSpace(string(identity)), "\n")
			watch = append(watch, lines[len(lines)-1])
		}
		found := seenIn(t, filepath.Dir(dir), identityFile)
		found["stdout"], found["stderr"] = stdout, stderr
		for _, value := range watch {
			for where, text := range found {
				if strings.Contains(text, value) {
					t.Errorf("%v: a value is seen in %s", step.args, where)
				}
			}
		}
	}
	if log, err := os.ReadFile(seen); err != nil || !bytes.Contains(log, []byte("stringData")) && !bytes.Contains(log, []byte("editor")) {
		t.Errorf("no program has looked at /proc: %v", err)
	}
	left, err := filepath.Glob("/dev/shm/archipel-edit-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left in memory: %v, %v", left, err)
	}
}

// seenIn reads all files below a folder, but for one.
func seenIn(t *testing.T, folder, but string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || name == but || strings.HasPrefix(name, filepath.Join(folder, "bin")) {
			return err
		}
		data, err := os.ReadFile(name)
		texts[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// The identities of the environment do not reach the editor.
func TestEditorDoesNotGetTheKeys(t *testing.T) {
	dir, seen := secretFleet(t)
	identity, _, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY", identity)
	t.Setenv("EDITOR", "sh -c 'env >"+seen+"; echo added: x >>$0'")
	if code, _, stderr := run(t, dir, "", "secret", "init"); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := run(t, dir, "", "secret", "edit", filepath.Join(dir, secret.AnsibleFile("site-a"))); code != 0 {
		t.Fatal(stderr)
	}
	env, err := os.ReadFile(seen)
	if err != nil || !bytes.Contains(env, []byte("HOME=")) || bytes.Contains(env, []byte("AGE-SECRET")) {
		t.Errorf("the environment of the editor: %v\n%s", err, env)
	}
}

// Whatever the editor does, the file is the old one or the new one, and nothing
// is left in memory.
func TestEditLeavesTheFileWhole(t *testing.T) {
	dir, _ := secretFleet(t)
	if code, _, stderr := run(t, dir, "", "secret", "init"); code != 0 {
		t.Fatal(stderr)
	}
	file := filepath.Join(dir, secret.AnsibleFile("site-a"))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		editor, says string
		code         int
	}{
		"no change":         {"true", "nothing has changed", 0},
		"fails":             {"false", `the editor "false" has failed`, 3},
		"missing":           {"/nowhere/editor", "has failed: the file stays as it was", 3},
		"not runnable":      {"/dev/null", "has failed: the file stays as it was", 3},
		"killed":            {"kill -9 $$; :", "has failed: the file stays as it was", 3},
		"no YAML":           {"sh -c 'echo \"a: [canary\" >$0'", "the content is not YAML", 3},
		"empty":             {"sh -c ': >$0'", "the content is empty", 3},
		"removed":           {"rm", "the editor has removed the content", 3},
		"encrypted":         {"sh -c 'echo sops: x >>$0'", "is it encrypted already?", 3},
		"all unencrypted":   {"sh -c 'echo a_unencrypted: canary >$0'", "nothing in it would be encrypted", 3},
		"changed meanwhile": {"sh -c 'echo a: b >>$0; echo >>" + file + "'", "was changed by somebody else meanwhile", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("EDITOR", test.editor)
			code, stdout, stderr := run(t, dir, "", "secret", "edit", file)
			if code != test.code || !strings.Contains(stderr, test.says) || strings.Contains(stdout+stderr, "canary") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			after, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(after)) != strings.TrimSpace(string(before)) {
				t.Errorf("the file has changed, %v", err)
			}
			if err := os.WriteFile(file, before, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
	if left, err := filepath.Glob("/dev/shm/archipel-edit-*"); err != nil || len(left) > 0 {
		t.Errorf("left in memory: %v, %v", left, err)
	}
}

func TestKnownHost(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHlMvFMdGcdKbYbPUeHVS4jFdR4Lw3wbbPvQKQ9zHKVa"
	hashed := "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=" // 192.168.1.61, of sshd(8)
	file := filepath.Join(t.TempDir(), "known_hosts")
	write(t, file, "# comment\n\ngit.example.org,198.51.100.1 "+key+"\n[git.example.org]:2222 "+key+"\n@revoked bad.example.org "+key+"\n"+hashed+" "+key+"\nbroken\n", 0o600)
	env := &Env{Getenv: func(string) string { return "/nowhere" }}
	for host, want := range map[string]string{
		"git.example.org": "git.example.org " + key + "\n", "[git.example.org]:2222": "[git.example.org]:2222 " + key + "\n",
		"192.168.1.61": "192.168.1.61 " + key + "\n", "bad.example.org": "", "other": "",
	} {
		got, err := knownHost(env, file, host)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", host, got, err)
		}
	}
	if got, err := knownHost(env, "", "git.example.org"); got != "" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
}

// Ctrl-C ends archipel's context, and the terminal lets the editor know.
func TestInterruptedEdit(t *testing.T) {
	dir, seen := secretFleet(t)
	if code, _, stderr := run(t, dir, "", "secret", "init"); code != 0 {
		t.Fatal(stderr)
	}
	file := filepath.Join(dir, secret.AnsibleFile("site-a"))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("EDITOR", "f() { echo added: x >>$1; >"+seen+"; exec sleep 600; }; f")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(seen); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	code := Run(ctx, []string{"--dir", dir, "secret", "edit", file}, strings.NewReader(""), &stdout, &stderr)
	if code != exitInterrupted || stderr.String() != "interrupted\n" {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed, %v", err)
	}
	if left, err := filepath.Glob("/dev/shm/archipel-edit-*"); err != nil || len(left) > 0 {
		t.Errorf("left in memory: %v, %v", left, err)
	}
}
