package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/secret"
)

// copyDir is the working tree with the lab's own secrets in the place of the
// repository's: bootstrap reads them from a repository, and leaves the user's alone.
func (l *Lab) copyDir() string { return filepath.Join(l.hostsDir(), "repository") }

// serveHosts serves the tree that the hosts' sites are made from.
func (l *Lab) serveHosts(ctx context.Context, f *fleet.Fleet, repositorySecrets bool) (revisions map[string]string, err error) {
	if repositorySecrets {
		return l.serve(ctx, f, true)
	}
	if err := l.copyTree(ctx, f); err != nil {
		return nil, fmt.Errorf("copying the working tree: %w", err)
	}
	if err := l.initSecrets(f); err != nil {
		return nil, fmt.Errorf("making the secrets of the lab: %w", err)
	}
	of := *l
	of.config.Repository = l.copyDir()
	return of.serve(ctx, f, true)
}

// copyTree makes the copy hold the working tree as it is now, files that git
// ignores and secrets aside.
func (l *Lab) copyTree(ctx context.Context, f *fleet.Fleet) error {
	s := bareRepository{lab: l, bare: filepath.Join(l.hostsDir(), "tree.git")}
	if err := os.MkdirAll(l.copyDir(), 0o700); err != nil {
		return err
	}
	if err := s.prepare(ctx, "main"); err != nil {
		return err
	}
	if err := s.stage(ctx); err != nil {
		return err
	}
	listed, err := s.git(ctx, nil, "ls-files", "-z")
	if err != nil {
		return err
	}
	ours := func(name string) bool { // the lab's, in the copy
		return name == secret.RulesFile || secret.IsSealedName(name) ||
			slices.ContainsFunc(f.Sites, func(site *fleet.Site) bool { return name == secret.PublicFile(site.Name) })
	}
	var drop []string
	keep := map[string]bool{}
	for _, name := range splitNames(listed) {
		if ours(name) {
			drop = append(drop, name)
		} else {
			keep[name] = true
		}
	}
	if err := s.drop(ctx, drop); err != nil {
		return err
	}
	if _, err := s.git(ctx, nil, "checkout-index", "--all", "--force", "--prefix="+l.copyDir()+"/"); err != nil {
		return err
	}
	return filepath.WalkDir(l.copyDir(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(l.copyDir(), name)
		if err != nil || keep[filepath.ToSlash(relative)] || ours(filepath.ToSlash(relative)) {
			return err
		}
		return os.Remove(name)
	})
}

// initSecrets makes the secrets that the copy lacks, as archipel secret init does.
func (l *Lab) initSecrets(f *fleet.Fleet) error {
	if _, err := l.makeIdentity(); err != nil {
		return err
	}
	if _, err := l.gitSecret(); err != nil {
		return err
	}
	credentials, err := os.ReadFile(l.gitCredentialsFile())
	if err != nil {
		return err
	}
	user, password, _ := strings.Cut(strings.TrimSpace(string(credentials)), ":")
	keys, err := secret.LoadKeyring(func(name string) string {
		if name == secret.KeyFileVariable {
			return l.identityFile()
		}
		return ""
	})
	if err != nil {
		return err
	}
	store, err := secret.OpenStore(l.copyDir())
	if err != nil {
		return err
	}
	defer store.Close()
	err = secret.Init(store, f, keys, secret.InitOptions{
		Operator: "lab", Now: l.config.Now(), Say: func(string) {},
		KnownHosts: func(string) (string, error) { return "", nil },
		Password:   func(string) (string, string, bool, error) { return user, password, true, nil },
	})
	if lost, ok := errors.AsType[*secret.LostError](err); ok {
		return fmt.Errorf("%w; archipel lab down, then up, makes all of them anew", lost)
	}
	return err
}
