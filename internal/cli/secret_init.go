package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format of known_hosts
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"archipel/internal/secret"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

type secretInitOptions struct {
	operator   string
	knownHosts string
	gitUser    string
	recreate   []string
}

func newSecretInitCmd(env *Env) *cobra.Command {
	var options secretInitOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the secrets that the fleet lacks",
		Long: `Make what is missing, each thing once, and change nothing else: your age
identity, where SOPS looks for it; .sops.yaml, with you as an operator, who
opens everything; and encrypted from the start, for each site the age key of
Flux, the tokens of k3s, the keys of its WireGuard gateways and Flux's Git
credentials; and one mesh CA for all sites, an ECDSA P-256 key valid for 10
years.

The public halves are written to group_vars/all/keys.yml of each site. Back up
your identity: without it, and without another operator, nothing opens any
more.

A file that was there before is never made anew silently: init stops and says
what tells so. --recreate names a file that is gone for good.`,
		Example: `  archipel secret init
  archipel secret init --known-hosts git-host-keys`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSecretInit(cmd.Context(), env, options)
		},
	}
	cmd.Flags().StringVar(&options.operator, "operator", "", "your `name` in .sops.yaml (default: $USER)")
	cmd.Flags().StringVar(&options.knownHosts, "known-hosts", "", "`file` with the host key of the Git server, as ssh-keyscan prints it (default: ~/.ssh/known_hosts)")
	cmd.Flags().StringVar(&options.gitUser, "git-user", "", "`name` with which Flux reads the repository over https; the password is asked for, or read from stdin")
	cmd.Flags().StringArrayVar(&options.recreate, "recreate", nil, "make this `file` anew although it was there before")
	return cmd
}

func runSecretInit(ctx context.Context, env *Env, options secretInitOptions) error {
	scene, f, _, err := openSecretFleet(env, nil)
	if err != nil {
		return err
	}
	defer scene.Close()
	say := func(text string) { fmt.Fprintln(env.Stdout, text) }
	if scene.keys.None() {
		if err := makeOwnIdentity(env, scene, say); err != nil {
			return err
		}
	}
	said := 0
	err = secret.Init(scene.store, f, scene.keys, secret.InitOptions{
		Operator: operatorName(env, options.operator), Recreate: options.recreate, Now: env.Now(),
		Say:        func(text string) { said++; say(text) },
		History:    scene.committed(ctx, env),
		KnownHosts: func(host string) (string, error) { return knownHost(env, options.knownHosts, host) },
		Password:   func(url string) (string, string, bool, error) { return gitPassword(ctx, env, options.gitUser, url) },
	})
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	if said == 0 {
		say("nothing is missing")
	}
	return nil
}

// makeOwnIdentity makes the user's age identity where SOPS looks for it.
func makeOwnIdentity(env *Env, scene *secretScene, say func(string)) error {
	if env.Getenv(secret.KeyCommandVariable) != "" {
		return hintError{configError{errors.New("your age identity comes from $" + secret.KeyCommandVariable + ", which archipel does not run")},
			"give its output in $" + secret.KeyVariable}
	}
	name := env.Getenv(secret.KeyFileVariable)
	if name == "" {
		name = scene.keys.Default
	}
	if name == "" {
		return hintError{configError{errors.New("there is no place for your age identity")}, "set HOME or $" + secret.KeyFileVariable}
	}
	recipient, err := secret.MakeIdentityFile(name, env.Now())
	if errors.Is(err, fs.ErrExist) {
		return hintError{configError{fmt.Errorf("%s is there and holds no age identity: it is not replaced", name)},
			"add your identity to it, or set $" + secret.KeyFileVariable + " to another file"}
	}
	if err != nil {
		return err
	}
	say("made your age identity in " + name + ": back it up")
	say("its public half is " + recipient)
	scene.keys, err = secret.LoadKeyring(env.Getenv)
	return err
}

// operatorName is how .sops.yaml names the user.
func operatorName(env *Env, asked string) string {
	if asked != "" {
		return asked
	}
	name := strings.Map(func(r rune) rune {
		if r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, env.Getenv("USER"))
	if name == "" {
		name = "first"
	}
	return name
}

// knownHost returns the lines of known_hosts for a host.
func knownHost(env *Env, file, host string) (string, error) {
	asked := file != ""
	if !asked {
		file = filepath.Join(env.Getenv("HOME"), ".ssh", "known_hosts")
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the host keys: %w", err)
	}
	if len(data) > 1<<20 {
		return "", fmt.Errorf("reading the host keys: %s is longer than 1 MiB", file)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(data)) {
		marker, hosts, key, _, _, err := ssh.ParseKnownHosts([]byte(line))
		if err != nil || marker != "" {
			continue // empty, a comment, a revoked key or an authority
		}
		for _, pattern := range hosts {
			if pattern == host || strings.HasPrefix(pattern, "|1|") && hashedHost(pattern, host) {
				lines.WriteString(knownhosts.Line([]string{host}, key) + "\n")
				break
			}
		}
	}
	if asked && lines.Len() == 0 {
		return "", hintError{usageError{fmt.Errorf("%s holds no key of %s", file, host)}, "ssh-keyscan prints the keys of a host"}
	}
	return lines.String(), nil
}

// hashedHost says whether a hashed pattern of known_hosts is for a host
// (ssh-keygen -H): |1|salt|HMAC-SHA1 of the host with the salt, both in base64.
func hashedHost(pattern, host string) bool {
	parts := strings.Split(pattern, "|")
	if len(parts) != 4 {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(host))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)) == parts[3]
}

// gitPassword finds out how Flux reads the repository over https.
func gitPassword(ctx context.Context, env *Env, user, url string) (string, string, bool, error) {
	if user == "" {
		return "", "", false, nil
	}
	password, err := readSecret(ctx, env, "Password of "+user+" at "+url+": ")
	return user, password, err == nil, err
}
