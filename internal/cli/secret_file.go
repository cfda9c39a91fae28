package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"archipel/internal/secret"

	"github.com/spf13/cobra"
)

func newSecretSetCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "set FILE PATH",
		Short: "Write one value of an encrypted file",
		Long: `Write one value. It is read from the terminal, where it is not shown, or from
stdin, never from the arguments: those are seen by every user of the machine.
The end of a single line is no part of the value; several lines are kept as
they are.

PATH is key/key, such as stringData/password, or as SOPS writes it,
["stringData"]["password"]. Elements of lists have numbers from 0. What is
missing on the way is made.`,
		Example: `  archipel secret set kubernetes/flux/clusters/site-a/secrets/app.sops.yaml stringData/password
  archipel secret set app.sops.yaml stringData/tls.key <tls.key`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeSecretFiles(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretSet(cmd.Context(), env, args[0], args[1])
		},
	}
}

func runSecretSet(ctx context.Context, env *Env, name, place string) error {
	at, err := secret.ParsePath(place)
	if err != nil {
		return usageError{err}
	}
	scene, file, err := openSecretFile(env, name)
	if err != nil {
		return err
	}
	defer scene.Close()
	f, before, err := secret.OpenFile(scene.store, scene.keys.Identities, file)
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	value, err := readSecret(ctx, env, "Value of "+strings.Join(at, "/")+": ")
	if err != nil {
		return err
	}
	changed, err := f.Set(at, value)
	if err != nil {
		return usageError{err}
	}
	if !changed {
		fmt.Fprintf(env.Stderr, "%s has that value already: nothing was written\n", file)
		return nil
	}
	if err := secret.WriteFile(scene.store, scene.keys.Identities, f, before); err != nil {
		return explainSecret(env, scene.keys, err)
	}
	fmt.Fprintf(env.Stderr, "wrote %s\n", file)
	return nil
}

// openSecretFile opens the repository and finds a file in it.
func openSecretFile(env *Env, name string) (*secretScene, string, error) {
	scene, err := openSecrets(env)
	if err != nil {
		return nil, "", err
	}
	file, err := scene.secretFile(name)
	if err != nil {
		scene.Close()
		return nil, "", err
	}
	return scene, file, nil
}

func newSecretGetCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "get FILE PATH",
		Short: "Print one value of an encrypted file",
		Long: `Print one value on stdout, as it is: without an end of line where it has none.
PATH is written as for archipel secret set.`,
		Example:           `  archipel secret get kubernetes/flux/clusters/site-a/secrets/app.sops.yaml stringData/password`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeSecretFiles(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runSecretGet(env, args[0], args[1])
		},
	}
}

func runSecretGet(env *Env, name, place string) error {
	at, err := secret.ParsePath(place)
	if err != nil {
		return usageError{err}
	}
	scene, file, err := openSecretFile(env, name)
	if err != nil {
		return err
	}
	defer scene.Close()
	f, _, err := secret.OpenFile(scene.store, scene.keys.Identities, file)
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	value, err := f.Get(at)
	if err != nil {
		return usageError{err}
	}
	if _, ok := terminal(env.Stdout); ok && !strings.HasSuffix(value, "\n") {
		value += "\n" // so that the prompt does not follow it
	}
	_, err = fmt.Fprint(env.Stdout, value)
	return err
}

func newSecretDecryptCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "decrypt FILE",
		Short: "Print the content of an encrypted file",
		Long: `Print the content of an encrypted file on stdout. There is no way to decrypt a
file in place: a plaintext file is soon committed. archipel secret edit changes
one.`,
		Example:           `  archipel secret decrypt kubernetes/flux/clusters/site-a/secrets/flux-system.sops.yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeSecretFiles(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runSecretDecrypt(env, args[0])
		},
	}
}

func runSecretDecrypt(env *Env, name string) error {
	scene, file, err := openSecretFile(env, name)
	if err != nil {
		return err
	}
	defer scene.Close()
	f, _, err := secret.OpenFile(scene.store, scene.keys.Identities, file)
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	plain, err := f.Plain()
	if err != nil {
		return err
	}
	_, err = env.Stdout.Write(plain)
	return err
}

func newSecretEncryptCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "encrypt FILE",
		Short: "Encrypt a plaintext file in place",
		Long: `Encrypt a plaintext file in place, for the recipients that .sops.yaml names for
it. The name of the file says that it is encrypted: it ends in .sops.yaml,
.sops.yml or the like.

If the file was ever pushed in plaintext, its values are known: change them.`,
		Example: `  archipel secret encrypt kubernetes/flux/clusters/site-a/secrets/app.sops.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return runSecretEncrypt(env, args[0])
		},
	}
}

func runSecretEncrypt(env *Env, name string) error {
	scene, file, err := openSecretFile(env, name)
	if err != nil {
		return err
	}
	defer scene.Close()
	if !secret.IsSealedName(file) {
		ext := path.Ext(file)
		return hintError{usageError{fmt.Errorf("the name of %s does not say that it is encrypted", file)},
			"mv " + file + " " + strings.TrimSuffix(file, ext) + ".sops" + ext + ", then encrypt that"}
	}
	plain, err := scene.store.Read(file)
	if err != nil {
		return err
	}
	if _, err := secret.ParseFile(file, plain); err == nil {
		fmt.Fprintf(env.Stderr, "%s is encrypted already: nothing was written\n", file)
		return nil
	}
	f, err := newSecretFile(scene, file, plain)
	if err == nil {
		err = secret.WriteFile(scene.store, scene.keys.Identities, f, plain)
	}
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	fmt.Fprintf(env.Stderr, "encrypted %s\n", file)
	return nil
}

// newSecretFile makes a file that follows the repository's rules.
func newSecretFile(scene *secretScene, file string, plain []byte) (*secret.File, error) {
	rules, err := secret.LoadRules(scene.store)
	if err != nil {
		return nil, err
	}
	rule, err := rules.For(file)
	if err != nil {
		return nil, err
	}
	return secret.NewFile(file, plain, rule)
}

func newSecretEditCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "edit FILE",
		Short: "Edit an encrypted file, or begin one",
		Long: `Open the content of an encrypted file in $SOPS_EDITOR, $VISUAL, $EDITOR or vi,
and encrypt what it leaves. The content lies in a private folder of a file
system in memory meanwhile, and is wiped afterwards. An editor may keep copies
of its own: see that it writes no backup and no history elsewhere.

When nothing has changed, nothing is written. When the editor fails, on Ctrl-C,
and when somebody else has changed the file meanwhile, it stays as it was. A
file that does not exist begins as a Kubernetes Secret, or empty.`,
		Example:           `  archipel secret edit kubernetes/flux/clusters/site-a/secrets/app.sops.yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeSecretFiles(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretEdit(cmd.Context(), env, args[0])
		},
	}
}

func runSecretEdit(ctx context.Context, env *Env, name string) error {
	scene, file, err := openSecretFile(env, name)
	if err != nil {
		return err
	}
	defer scene.Close()
	f, before, plain, err := openForEdit(scene, file)
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	edited, err := editInMemory(ctx, env, path.Base(file), plain, func(edited []byte) error { return f.SetPlain(edited) })
	if err != nil {
		return err
	}
	if edited == nil {
		fmt.Fprintln(env.Stderr, "nothing has changed: nothing was written")
		return nil
	}
	if err := secret.WriteFile(scene.store, scene.keys.Identities, f, before); err != nil {
		return explainSecret(env, scene.keys, err)
	}
	fmt.Fprintf(env.Stderr, "wrote %s\n", file)
	return nil
}

// openForEdit returns a file and its content; before is nil when it is a new one.
func openForEdit(scene *secretScene, file string) (f *secret.File, before, plain []byte, err error) {
	f, before, err = secret.OpenFile(scene.store, scene.keys.Identities, file)
	if err == nil {
		plain, err = f.Plain()
		return f, before, plain, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, err
	}
	if !secret.IsSealedName(file) {
		return nil, nil, nil, usageError{fmt.Errorf("%s: there is no such file, and the name of a new one ends in .sops.yaml", file)}
	}
	plain = secret.Template(file)
	f, err = newSecretFile(scene, file, plain)
	return f, nil, plain, err
}
