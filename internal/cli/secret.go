package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/secret"
	"archipel/internal/source"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func newSecretCmd(env *Env) *cobra.Command {
	return newGroupCmd("secret", "Make, read, change and rotate the fleet's secrets",
		`Secrets stand in Git, encrypted with SOPS for age keys. The rules in .sops.yaml
say who can read which file. The files work with the program sops and with Flux,
and theirs work here. Nothing decrypted reaches the disk.

Your age identity is looked for where SOPS looks: $SOPS_AGE_KEY,
$SOPS_AGE_KEY_FILE, and sops/age/keys.txt in $XDG_CONFIG_HOME or ~/.config.`,
		newSecretInitCmd(env), newSecretListCmd(env), newSecretEditCmd(env), newSecretSetCmd(env), newSecretGetCmd(env),
		newSecretEncryptCmd(env), newSecretDecryptCmd(env), newSecretRotateCmd(env), newSecretRecipientsCmd(env), newSecretCheckCmd(env), newSecretDoctorCmd(env))
}

// secretScene is what every command on secrets works with.
type secretScene struct {
	repository *source.Repository
	store      *secret.Store
	keys       *secret.Keyring
}

// openSecrets opens the repository and reads the user's identities.
func openSecrets(env *Env) (*secretScene, error) {
	repository, err := source.Open(env.Dir)
	if err != nil {
		return nil, configError{err}
	}
	store, err := secret.OpenStore(repository.Root())
	if err != nil {
		return nil, errors.Join(err, repository.Close())
	}
	scene := &secretScene{repository: repository, store: store}
	if scene.keys, err = secret.LoadKeyring(env.Getenv); err != nil {
		scene.Close()
		return nil, configError{err}
	}
	return scene, nil
}

// userIdentities reads the user's identities when they are asked for.
func userIdentities(env *Env) func() (*secret.Identities, error) {
	return func() (*secret.Identities, error) {
		keys, err := secret.LoadKeyring(env.Getenv)
		if err != nil {
			return nil, err
		}
		return keys.Identities, nil
	}
}

// openSecretFleet is openSecrets for commands that work on sites.
func openSecretFleet(env *Env, names []string) (*secretScene, *fleet.Fleet, []*fleet.Site, error) {
	repository, f, err := openFleet(env)
	if err != nil {
		return nil, nil, nil, err
	}
	_ = repository.Close()
	sites, err := selectSites(f, names)
	if err != nil {
		return nil, nil, nil, err
	}
	scene, err := openSecrets(env)
	return scene, f, sites, err
}

func (s *secretScene) Close() {
	_ = s.store.Close()
	_ = s.repository.Close()
}

// explainSecret adds what to do about an error of internal/secret.
func explainSecret(env *Env, keys *secret.Keyring, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	lost, isLost := errors.AsType[*secret.LostError](err)
	stranger, isStranger := errors.AsType[*secret.NotOperatorError](err)
	_, isRule := errors.AsType[*secret.RuleError](err)
	_, isChanged := errors.AsType[*secret.ChangedError](err)
	switch {
	case isLost:
		hint = lost.Hint
	case isStranger:
		hint = "let an operator run: archipel secret recipients add NAME " + stranger.Recipients[0] + ", and pull what that changes"
	case errors.Is(err, secret.ErrNoIdentity) && keys != nil && keys.None() && env.Getenv(secret.KeyCommandVariable) != "":
		hint = "archipel does not run $" + secret.KeyCommandVariable + ": give its output in $" + secret.KeyVariable
	case errors.Is(err, secret.ErrNoIdentity) && keys != nil && keys.None():
		hint = "there is no age identity in $" + secret.KeyVariable + ", $" + secret.KeyFileVariable + " or " + keys.Default
	case errors.Is(err, secret.ErrNoIdentity):
		hint = "archipel secret list says who can read it; archipel secret doctor says which identity opens what"
	case errors.Is(err, secret.ErrAltered), errors.Is(err, secret.ErrDamaged), errors.Is(err, secret.ErrUnreadable):
		hint = "git log -p shows who changed the file; archipel secret doctor explains"
	case errors.Is(err, secret.ErrNotEncrypted):
		hint = "archipel secret encrypt encrypts it"
	case isRule:
		hint = "archipel secret init adds the rules of a site; others are yours to add"
	case isChanged:
		hint = "run it again"
	}
	if hint == "" {
		return err
	}
	return hintError{err, hint}
}

// secretFile returns a file that was named on the command line as a path from
// the repository's root.
func (s *secretScene) secretFile(name string) (string, error) {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", name, err)
	}
	root, err := filepath.EvalSymlinks(s.repository.Root())
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
		absolute = filepath.Join(folder, filepath.Base(absolute))
	}
	relative, err := filepath.Rel(root, absolute)
	inside := err == nil && filepath.IsLocal(relative)
	if inside {
		if _, err := os.Lstat(absolute); err == nil {
			return filepath.ToSlash(relative), nil
		}
	}
	// Findings name files from the root.
	if clean := path.Clean(filepath.ToSlash(name)); fs.ValidPath(clean) {
		if _, err := fs.Stat(s.repository.FS(), clean); err == nil || !inside {
			return clean, nil
		}
	}
	if !inside {
		return "", usageError{fmt.Errorf("%s is not in the repository %s", name, s.repository.Root())}
	}
	return filepath.ToSlash(relative), nil
}

// completeSecretFiles offers the encrypted files.
func completeSecretFiles(env *Env) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		repository, err := source.Open(env.Dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		defer repository.Close()
		store, err := secret.OpenStore(repository.Root())
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		defer store.Close()
		files, err := store.Files()
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return files, cobra.ShellCompDirectiveDefault
	}
}

// terminal returns the stream's descriptor when it is a terminal.
func terminal(stream any) (int, bool) {
	file, ok := stream.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	return int(file.Fd()), true
}

// maxValue bounds one value in bytes: a Kubernetes Secret holds 1 MiB.
const maxValue = 1 << 20

// readSecret reads a value: from the terminal, where it is not shown, else all
// of stdin. The end of a single line is no part of the value.
func readSecret(ctx context.Context, env *Env, prompt string) (string, error) {
	if fd, ok := terminal(env.Stdin); ok {
		fmt.Fprint(env.Stderr, prompt)
		state, err := term.GetState(fd)
		if err != nil {
			return "", fmt.Errorf("reading from the terminal: %w", err)
		}
		type answer struct {
			text []byte
			err  error
		}
		answers := make(chan answer, 1)
		go func() { text, err := term.ReadPassword(fd); answers <- answer{text, err} }()
		select {
		case <-ctx.Done(): // the read cannot be stopped, but what it hid must show again
			_ = term.Restore(fd, state)
			fmt.Fprintln(env.Stderr)
			return "", ctx.Err()
		case a := <-answers:
			fmt.Fprintln(env.Stderr)
			if a.err != nil {
				return "", fmt.Errorf("reading from the terminal: %w", a.err)
			}
			return checkValue(string(a.text))
		}
	}
	data, err := io.ReadAll(io.LimitReader(env.Stdin, maxValue+1))
	if err != nil {
		return "", fmt.Errorf("reading the value from stdin: %w", err)
	}
	text := string(data)
	if line, ok := strings.CutSuffix(text, "\n"); ok && !strings.Contains(line, "\n") {
		text = line
	}
	return checkValue(text)
}

func checkValue(text string) (string, error) {
	switch {
	case text == "":
		return "", usageError{errors.New("the value is empty")}
	case len(text) > maxValue:
		return "", usageError{fmt.Errorf("the value is longer than %d bytes", maxValue)}
	}
	return text, nil
}

// agree asks before something changes. Without a terminal only --yes agrees.
func agree(ctx context.Context, env *Env, yes bool, question string) error {
	return agreeWith(ctx, env, yes, "this changes files", question+" [y/N] ", "y", "yes")
}

// agreeWith asks for one of some answers before something happens.
func agreeWith(ctx context.Context, env *Env, yes bool, what, question string, wanted ...string) error {
	if yes {
		return nil
	}
	if _, ok := terminal(env.Stdin); !ok {
		return hintError{usageError{fmt.Errorf("%s, and there is no terminal to ask on", what)}, "--yes agrees beforehand"}
	}
	fmt.Fprint(env.Stderr, question)
	answers := make(chan string, 1)
	go func() {
		var answer string
		_, _ = fmt.Fscanln(env.Stdin, &answer) // an empty answer is a no
		answers <- answer
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answers:
		if slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(answer, w) }) {
			return nil
		}
	}
	fmt.Fprintln(env.Stderr, "nothing was changed")
	return statusError(exitFindings)
}

// withoutKeys is an environment for programs that must not know the identities.
func withoutKeys(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return strings.HasPrefix(variable, secret.KeyVariable+"=")
	})
}

// committed says whether a file was ever committed. Without Git nobody knows.
func (s *secretScene) committed(ctx context.Context, env *Env) func(string) (bool, error) {
	return func(file string) (bool, error) {
		out, err := tool.Run(ctx, tool.Command{
			Name: "git", Dir: s.repository.Root(), Env: withoutKeys(env.Environ),
			Args: []string{"log", "--all", "-1", "--format=%H", "--", ":(glob)" + file},
		})
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return err == nil && len(out) > 0, nil
	}
}

// fileAt reads a file as it was at the revision that Flux names, branch@sha1:commit.
func (s *secretScene) fileAt(env *Env, revision, file string) ([]byte, error) {
	_, commit, ok := strings.Cut(revision, "sha1:")
	if !ok {
		return nil, fmt.Errorf("revision %q names no commit", revision)
	}
	git, err := s.repository.Git()
	if err != nil {
		return nil, err
	}
	tree, err := git.Revision(commit)
	if err != nil { // the sites of a lab pull commits of the lab
		l, labErr := openLab(env, s.repository, "")
		if labErr != nil || !l.Exists() {
			return nil, err
		}
		if tree, labErr = l.Served(commit); labErr != nil {
			return nil, err
		}
	}
	return fs.ReadFile(tree, file)
}

// clusterTimeout is how long a cluster may take to answer.
const clusterTimeout = 10 * time.Second

// clusters opens the clusters of sites: the contexts that are named like them.
func secretClusters(env *Env, kubeconfig string) func(string) (secret.Cluster, error) {
	return func(site string) (secret.Cluster, error) {
		config := kube.Config{Getenv: env.Getenv, Context: site}
		if kubeconfig != "" {
			config.Paths = []string{kubeconfig}
		}
		cluster, err := kube.Open(config)
		if err != nil {
			return nil, err
		}
		return secretCluster{cluster}, nil
	}
}

// secretCluster is a cluster as internal/secret sees it.
type secretCluster struct{ *kube.Cluster }

const (
	fluxSystem = "flux-system"
	sopsAge    = "sops-age"
)

func (c secretCluster) Identities(ctx context.Context) (map[string]string, string, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	object, err := c.Get(ctx, kube.Kind("Secret"), fluxSystem, sopsAge)
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	entries := map[string]string{}
	data, _, _ := unstructured.NestedStringMap(object.Object, "data")
	for name, value := range data {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, "", fmt.Errorf("entry %q of Secret %s/%s is not in base64", name, fluxSystem, sopsAge)
		}
		entries[name] = string(text)
	}
	return entries, object.GetResourceVersion(), nil
}

func (c secretCluster) SetIdentities(ctx context.Context, entries map[string]string, version string) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	data := map[string]any{}
	for name, value := range entries {
		data[name] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	if version == "" {
		_, err := c.Apply(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
			"metadata": map[string]any{"name": sopsAge, "namespace": fluxSystem}, "data": data,
		}}, kube.ApplyOptions{})
		return err
	}
	before, at, err := c.Identities(ctx)
	if err != nil {
		return err
	}
	if at != version {
		return fmt.Errorf("the Secret %s/%s was changed by somebody else meanwhile", fluxSystem, sopsAge)
	}
	for name := range before {
		if _, stays := data[name]; !stays {
			data[name] = nil
		}
	}
	return c.Merge(ctx, kube.Kind("Secret"), fluxSystem, sopsAge, map[string]any{
		"metadata": map[string]any{"resourceVersion": version}, "data": data,
	})
}

func (c secretCluster) Applied(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	object, err := c.Get(ctx, kube.Kind("Kustomization"), fluxSystem, "secrets")
	if err != nil {
		return "", err
	}
	revision, _, _ := unstructured.NestedString(object.Object, "status", "lastAppliedRevision")
	return revision, nil
}
