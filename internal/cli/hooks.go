package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"archipel/internal/source"

	"github.com/spf13/cobra"
)

func newHooksCmd(env *Env) *cobra.Command {
	return newGroupCmd("hooks", "Keep secrets in plaintext out of commits",
		`The hook pre-commit of Git runs archipel secret check --staged, and refuses the
commit when that finds something. It is a file of your clone, which Git does not
share: install it in each.`,
		newHooksInstallCmd(env), newHooksUninstallCmd(env), newHooksStatusCmd(env))
}

func newHooksInstallCmd(env *Env) *cobra.Command {
	var program string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Set the hook pre-commit",
		Long: `Set the hook pre-commit where Git looks for it: core.hooksPath and linked
worktrees count. A hook that is there already is never overwritten: the answer
says what to add to it, to lefthook.yml or to .pre-commit-config.yaml.

The hook runs the archipel in $PATH, else this one. When neither is there, it
refuses the commit.`,
		Example: "  archipel hooks install",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runHooksInstall(cmd.Context(), env, program) },
	}
	cmd.Flags().StringVar(&program, "program", "", "what the hook runs when archipel is not in $PATH: a `file` (default this program)")
	return cmd
}

func newHooksUninstallCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the hook pre-commit that install has set",
		Long:  "Remove the hook pre-commit when it is the one of archipel hooks install.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runHooksUninstall(cmd.Context(), env) },
	}
}

func newHooksStatusCmd(env *Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether commits are checked",
		Long: `Say whether the hook pre-commit runs archipel secret check.

Exit codes: 0 it does, 1 it does not, 2 bad usage, 3 could not find out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHooksStatus(cmd.Context(), env, output) },
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// What a hook runs.
const hookCommand = "secret check --staged"

// hookMark begins the second line of a hook of archipel. The hash of all lines after it
// follows, so that one which somebody has changed is known.
const hookMark = "# Written by archipel hooks install. sha256:"

// hookText is a hook for a fleet in a folder of the working tree, and for a program that is
// used when there is none in $PATH.
func hookText(program, fleet string) []byte {
	options := ""
	if fleet != "." {
		options = "-C " + quoteShell(fleet) + " "
	}
	rest := `# archipel hooks uninstall removes it.
for archipel in archipel ` + quoteShell(program) + `; do
	if command -v "$archipel" >/dev/null 2>&1; then
		exec "$archipel" ` + options + hookCommand + `
	fi
done
echo "error: archipel is missing, so that nothing looks for secrets in this commit: it is refused" >&2
echo "hint: put archipel in your PATH, or run archipel hooks install with the one you have" >&2
exit 1
`
	return fmt.Appendf(nil, "#!/bin/sh\n%s%x\n%s", hookMark, sha256.Sum256([]byte(rest)), rest)
}

// quoteShell makes a text one word of a shell.
func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// hookManager is a program that sets hooks as a file in the repository says.
type hookManager struct {
	files   []string
	install string // sets the hook
	snippet string // to add to the file
}

func hookManagers() []hookManager {
	return []hookManager{
		{
			files: []string{"lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml"}, install: "lefthook install",
			snippet: `pre-commit:
  commands:
    archipel:
      run: archipel ` + hookCommand,
		},
		{
			files: []string{".pre-commit-config.yaml"}, install: "pre-commit install",
			snippet: `repos:
  - repo: local
    hooks:
      - id: archipel
        name: archipel ` + hookCommand + `
        entry: archipel ` + hookCommand + `
        language: system
        always_run: true
        pass_filenames: false`,
		},
	}
}

// hookState says whose the hook is.
type hookState string

// The states; they stand in the JSON of status.
const (
	hookMissing hookState = "missing"
	hookOurs    hookState = "installed"
	hookChanged hookState = "changed" // ours, edited by hand
	hookCalls   hookState = "calls"   // somebody else's, that runs the check
	hookOther   hookState = "other"
	hookIdle    hookState = "not-executable" // Git leaves it out
)

// hook is the hook pre-commit of a checkout.
type hook struct {
	path    string // absolute
	state   hookState
	content []byte
	shared  bool         // other repositories use the folder too
	manager *hookManager // whose file is in the repository; nil when there is none
	file    string       // that file
	named   bool         // it names the check
}

// findHook finds out what Git would run before a commit.
func findHook(ctx context.Context, env *Env, checkout *gitCheckout) (*hook, error) {
	out, err := checkout.run(ctx, env, "rev-parse", "--path-format=absolute", "--git-common-dir", "--git-path", "hooks")
	if err != nil {
		return nil, fmt.Errorf("asking Git for its hooks: %w", err)
	}
	common, folder, ok := strings.Cut(strings.TrimSuffix(out, "\n"), "\n")
	if !ok || !filepath.IsAbs(folder) {
		return nil, errors.New("asking Git for its hooks: git rev-parse --path-format=absolute needs Git 2.31 or newer")
	}
	h := &hook{path: filepath.Join(folder, "pre-commit"), shared: !within(common, folder) && !within(checkout.repository.Root(), folder)}
	for _, manager := range hookManagers() {
		for _, file := range manager.files {
			if data, err := source.Read(checkout.repository.FS(), file); err == nil && h.manager == nil {
				h.manager, h.file, h.named = &manager, file, bytes.Contains(data, []byte(hookCommand))
			}
		}
	}
	info, err := os.Lstat(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		h.state = hookMissing
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the hook: %w", err)
	}
	h.state = hookOther
	if target, err := os.Stat(h.path); err == nil && target.Mode().IsRegular() && target.Size() <= source.MaxSize {
		if h.content, err = os.ReadFile(h.path); err != nil {
			return nil, fmt.Errorf("reading the hook: %w", err)
		}
		switch ours, intact := isOurHook(h.content); {
		case ours && intact && info.Mode().IsRegular():
			h.state = hookOurs
		case ours:
			h.state = hookChanged
		case bytes.Contains(h.content, []byte(hookCommand)) || h.named:
			h.state = hookCalls
		}
		if target.Mode().Perm()&0o111 == 0 {
			h.state = hookIdle
		}
	}
	return h, nil
}

// isOurHook says whether archipel wrote a hook, and whether it is as it was written.
func isOurHook(content []byte) (ours, intact bool) {
	_, rest, _ := bytes.Cut(content, []byte("\n"))
	line, rest, _ := bytes.Cut(rest, []byte("\n"))
	sum, ours := bytes.CutPrefix(line, []byte(hookMark))
	return ours, ours && string(sum) == fmt.Sprintf("%x", sha256.Sum256(rest)) && bytes.HasPrefix(content, []byte("#!/bin/sh\n"))
}

// within says whether a path is a folder or lies below it.
func within(folder, path string) bool {
	for _, resolve := range []*string{&folder, &path} {
		if actual, err := filepath.EvalSymlinks(*resolve); err == nil { // the hooks' folder may not be there yet
			*resolve = actual
		}
	}
	relative, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(relative)
}

// advice says how to have a hook that is not ours run the check.
func (h *hook) advice() string {
	if h.manager != nil {
		return fmt.Sprintf("add this to %s, then run %s:\n%s", h.file, h.manager.install, h.manager.snippet)
	}
	return fmt.Sprintf("add this line to it:\narchipel %s || exit 1", hookCommand)
}

func runHooksInstall(ctx context.Context, env *Env, program string) error {
	checkout, err := openGit(env)
	if err != nil {
		return err
	}
	defer checkout.repository.Close()
	h, err := findHook(ctx, env, checkout)
	if err != nil {
		return err
	}
	if program == "" {
		program, err = os.Executable()
	} else {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	text := hookText(program, checkout.fleet)
	switch {
	case h.state == hookOurs && bytes.Equal(h.content, text):
		fmt.Fprintln(env.Stderr, "the hook is there already:", h.path)
		return nil
	case h.state == hookOurs: // of another archipel
	case h.state == hookCalls:
		fmt.Fprintln(env.Stderr, "the hook runs the check already:", h.path)
		return nil
	case h.state == hookIdle:
		return hintError{fmt.Errorf("the hook %s is not executable, so that Git leaves it out", h.path), "chmod +x makes it executable, or remove it"}
	case h.state == hookChanged:
		return hintError{fmt.Errorf("the hook %s was changed after archipel wrote it", h.path), "remove it, and run this again"}
	case h.state == hookOther:
		return hintError{fmt.Errorf("there is another hook already, which stays as it is: %s", h.path), h.advice()}
	case h.manager != nil && h.named:
		return hintError{fmt.Errorf("%s names the check, but Git has no hook yet", h.file), "run " + h.manager.install}
	case h.manager != nil:
		return hintError{fmt.Errorf("%s says which hooks this repository has", h.file), h.advice()}
	case h.shared:
		return hintError{
			fmt.Errorf("core.hooksPath names a folder that other repositories use too: %s", filepath.Dir(h.path)),
			"git config core.hooksPath .git/hooks gives this one its own, then run this again",
		}
	}
	if err := replaceFile(h.path, text, 0o755); err != nil {
		return err
	}
	fmt.Fprintln(env.Stderr, "wrote", h.path)
	return nil
}

func runHooksUninstall(ctx context.Context, env *Env) error {
	checkout, err := openGit(env)
	if err != nil {
		return err
	}
	defer checkout.repository.Close()
	h, err := findHook(ctx, env, checkout)
	if err != nil {
		return err
	}
	if ours, intact := isOurHook(h.content); h.state != hookMissing && !(ours && intact) {
		return hintError{fmt.Errorf("this hook is not as archipel wrote it, so it stays: %s", h.path), "remove it by hand if you want to"}
	}
	if h.state == hookMissing {
		fmt.Fprintln(env.Stderr, "there is no hook:", h.path)
		return nil
	}
	if err := os.Remove(h.path); err != nil {
		return fmt.Errorf("removing the hook: %w", err)
	}
	fmt.Fprintln(env.Stderr, "removed", h.path)
	return nil
}

func runHooksStatus(ctx context.Context, env *Env, output string) error {
	checkout, err := openGit(env)
	if err != nil {
		return err
	}
	defer checkout.repository.Close()
	h, err := findHook(ctx, env, checkout)
	if err != nil {
		return err
	}
	checked := h.state == hookOurs || h.state == hookCalls || h.state == hookChanged && bytes.Contains(h.content, []byte(hookCommand))
	if output == outputJSON {
		err = writeJSON(env.Stdout, struct {
			Hook    string    `json:"hook"`
			State   hookState `json:"state"`
			Checked bool      `json:"checked"`
		}{h.path, h.state, checked})
	} else {
		say := map[hookState]string{
			hookMissing: "commits are not checked: there is no hook", hookOurs: "commits are checked by", hookChanged: "commits are checked by",
			hookCalls: "commits are checked by", hookOther: "commits are not checked: another hook is there", hookIdle: "commits are not checked: the hook is not executable",
		}[h.state]
		_, err = fmt.Fprintln(env.Stdout, say, h.path)
	}
	if err != nil {
		return err
	}
	if !checked {
		return statusError(exitFindings)
	}
	return nil
}
