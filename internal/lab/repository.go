package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/tool"
)

// remote is a Git repository as Flux asks for it.
type remote struct {
	host   string // with the port, when the URL has one
	path   string // of the bare repository below the served folder
	branch string
}

// remoteOf returns the Git repository that a site pulls.
func remoteOf(site *fleet.Site) (remote, error) {
	address, err := url.Parse(site.Facts.GitURL)
	if err != nil {
		return remote{}, fmt.Errorf("git_url of %s: %w", site.Name, err)
	}
	if address.Scheme != "https" {
		return remote{}, fmt.Errorf("git_url of %s is %s: the lab serves Git over https only; "+
			"set an https URL to try the fleet here", site.Name, site.Facts.GitURL)
	}
	return remote{
		host: address.Host, path: strings.TrimPrefix(path.Clean(address.Path), "/"), branch: site.Facts.GitBranch,
	}, nil
}

func (l *Lab) gitDir() string { return filepath.Join(l.dir, "git") }

// snapshot serves the working tree with the secrets that the lab was raised with.
func (l *Lab) snapshot(ctx context.Context, f *fleet.Fleet) (revisions map[string]string, err error) {
	r, err := l.readRecord()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if r.Hosts {
		return l.serveHosts(ctx, f, r.RepositorySecrets)
	}
	return l.serve(ctx, f, r.RepositorySecrets)
}

// serve commits the working tree, uncommitted changes included and ignored
// files not, to the repositories that the lab serves. Unless it is to be served
// as it is, the sites' secrets folder holds the lab's own encrypted files. A tree
// that has not changed makes no commit. It returns what each site will pull, in
// the form in which Flux reports it.
func (l *Lab) serve(ctx context.Context, f *fleet.Fleet, asIs bool) (revisions map[string]string, err error) {
	var secrets map[string][]byte
	if !asIs {
		if secrets, err = l.secretFiles(f); err != nil {
			return nil, err
		}
	}
	revisions = map[string]string{}
	committed := map[remote]string{}
	for _, site := range f.Sites {
		r, err := remoteOf(site)
		if err != nil {
			return nil, err
		}
		if committed[r] == "" {
			commit, err := l.commit(ctx, r, secrets)
			if err != nil {
				return nil, fmt.Errorf("serving the working tree: %w", err)
			}
			committed[r] = r.branch + "@sha1:" + commit
		}
		revisions[site.Name] = committed[r]
	}
	return revisions, nil
}

// gitEnvironment is the user's without what would change what is served: the
// user's settings, and the variables that git sets in its hooks.
func (l *Lab) gitEnvironment() []string {
	environment := slices.DeleteFunc(slices.Clone(l.config.Environment), func(variable string) bool {
		return strings.HasPrefix(variable, "GIT_")
	})
	return append(environment, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		// git/ignore and git/attributes in there need no setting to be read.
		"XDG_CONFIG_HOME="+os.DevNull, "GIT_ATTR_NOSYSTEM=1")
}

// bareRepository is one of the bare repositories that the lab serves.
type bareRepository struct {
	lab  *Lab
	bare string
}

// git runs git on the repository and the working tree together.
func (s bareRepository) git(ctx context.Context, input []byte, args ...string) (string, error) {
	environment := append(s.lab.gitEnvironment(),
		"GIT_DIR="+s.bare, "GIT_WORK_TREE="+s.lab.config.Repository,
		"GIT_AUTHOR_NAME=archipel lab", "GIT_AUTHOR_EMAIL=lab@archipel.example",
		"GIT_COMMITTER_NAME=archipel lab", "GIT_COMMITTER_EMAIL=lab@archipel.example")
	return s.lab.runGit(ctx, environment, input, args...)
}

// checkout runs git on the user's checkout, which may be none.
func (s bareRepository) checkout(ctx context.Context, args ...string) (string, error) {
	return s.lab.runGit(ctx, s.lab.gitEnvironment(), nil, args...)
}

func (l *Lab) runGit(ctx context.Context, environment []string, input []byte, args ...string) (string, error) {
	out, err := tool.Run(ctx, tool.Command{
		Name: "git", Args: args, Env: environment, Dir: l.config.Repository, In: bytes.NewReader(input),
	})
	return strings.TrimSuffix(string(out), "\n"), err
}

// commit makes r hold the working tree, with secrets in the place of its own
// unless they are nil.
func (l *Lab) commit(ctx context.Context, r remote, secrets map[string][]byte) (string, error) {
	s := bareRepository{lab: l, bare: filepath.Join(l.gitDir(), filepath.FromSlash(r.path))}
	if err := s.prepare(ctx, r.branch); err != nil {
		return "", err
	}
	if err := s.stage(ctx); err != nil {
		return "", err
	}
	if secrets != nil {
		if err := s.stageSecrets(ctx, secrets); err != nil {
			return "", err
		}
	}
	tree, err := s.git(ctx, nil, "write-tree")
	if err != nil {
		return "", err
	}
	// A site whose facts have just left a branch still pulls it, and learns so from it.
	branches, err := s.git(ctx, nil, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
	if err != nil {
		return "", err
	}
	for _, branch := range strings.Fields(branches) {
		if branch != r.branch {
			if _, err := s.advance(ctx, branch, tree); err != nil {
				return "", err
			}
		}
	}
	return s.advance(ctx, r.branch, tree)
}

// advance makes a branch hold a tree, by a commit where it does not, and
// returns the branch's commit.
func (s bareRepository) advance(ctx context.Context, branch, tree string) (string, error) {
	reference := "refs/heads/" + branch
	args := []string{"commit-tree", "-m", "Working tree", tree}
	parent, err := s.git(ctx, nil, "for-each-ref", "--format=%(objectname) %(tree)", reference)
	if err != nil {
		return "", err
	}
	if head, headTree, ok := strings.Cut(parent, " "); ok {
		if headTree == tree {
			return head, nil
		}
		args = append(args, "-p", head)
	}
	commit, err := s.git(ctx, nil, args...)
	if err != nil {
		return "", err
	}
	_, err = s.git(ctx, nil, "update-ref", reference, commit)
	return commit, err
}

// prepare makes the repository where there is none, with what the checkout
// alone ignores.
func (s bareRepository) prepare(ctx context.Context, branch string) error {
	if _, err := os.Stat(filepath.Join(s.bare, "HEAD")); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Join(s.bare, "info"), 0o700); err != nil {
			return err
		}
		if _, err := s.checkout(ctx, "init", "--quiet", "--bare", "--initial-branch="+branch, s.bare); err != nil {
			return err
		}
	}
	// A git that was killed leaves this behind; the lab's lock says that none runs.
	if err := os.Remove(filepath.Join(s.bare, "index.lock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var excluded []byte
	if file, err := s.checkout(ctx, "rev-parse", "--git-path", "info/exclude"); err == nil {
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.lab.config.Repository, file)
		}
		excluded, _ = os.ReadFile(file) // most checkouts have none
	}
	return writeFile(filepath.Join(s.bare, "info", "exclude"), excluded)
}

// stage makes the index hold the working tree as the checkout sees it: git add
// alone misses files that are tracked although they are ignored, and keeps
// those that were ignored since.
func (s bareRepository) stage(ctx context.Context) error {
	if _, err := s.git(ctx, nil, "add", "--all", "."); err != nil {
		return err
	}
	ignored := []string{"ls-files", "-z", "--cached", "--ignored", "--exclude-standard"}
	tracked, err := s.checkout(ctx, ignored...)
	if err != nil {
		tracked = "" // no checkout
	}
	held, err := s.git(ctx, nil, ignored...)
	if err != nil {
		return err
	}
	if _, err := s.git(ctx, []byte(tracked), "update-index", "--add", "--remove", "-z", "--stdin"); err != nil {
		return err
	}
	return s.drop(ctx, without(splitNames(held), splitNames(tracked)))
}

// stageSecrets puts the lab's encrypted files in the place of production's,
// which Flux could not open here.
func (s bareRepository) stageSecrets(ctx context.Context, secrets map[string][]byte) error {
	encrypted, err := s.git(ctx, nil, "ls-files", "-z", "--", ":(glob)"+clusters+"/*/secrets/*.sops.yaml")
	if err != nil {
		return err
	}
	if err := s.drop(ctx, splitNames(encrypted)); err != nil {
		return err
	}
	var entries bytes.Buffer
	for file, data := range secrets {
		blob, err := s.git(ctx, data, "hash-object", "-w", "--stdin")
		if err != nil {
			return err
		}
		fmt.Fprintf(&entries, "100644 %s\t%s\x00", blob, file)
	}
	_, err = s.git(ctx, entries.Bytes(), "update-index", "--add", "-z", "--index-info")
	return err
}

// drop removes files from the index.
func (s bareRepository) drop(ctx context.Context, files []string) error {
	var entries bytes.Buffer
	for _, file := range files {
		fmt.Fprintf(&entries, "0 %s\t%s\x00", strings.Repeat("0", 40), file) // mode 0 removes
	}
	_, err := s.git(ctx, entries.Bytes(), "update-index", "-z", "--index-info")
	return err
}

// splitNames splits what git prints with -z.
func splitNames(out string) []string {
	return strings.FieldsFunc(out, func(r rune) bool { return r == 0 })
}
