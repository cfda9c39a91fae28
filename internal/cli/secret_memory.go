package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"archipel/internal/tool"

	"golang.org/x/sys/unix"
)

// memoryFolder makes a private folder in a file system that lies in memory.
func memoryFolder(env *Env) (string, error) {
	for _, parent := range []string{env.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		var stat unix.Statfs_t
		if parent == "" || unix.Statfs(parent, &stat) != nil || stat.Type != unix.TMPFS_MAGIC && stat.Type != unix.RAMFS_MAGIC {
			continue
		}
		if folder, err := os.MkdirTemp(parent, "archipel-edit-"); err == nil { // mode 0700
			return folder, nil
		}
	}
	return "", hintError{errors.New("there is no file system in memory for the content: neither $XDG_RUNTIME_DIR nor /dev/shm is one that you may write to"),
		"mount one: mount -t tmpfs tmpfs /dev/shm; or use archipel secret set, which needs none"}
}

// wipe overwrites all files of a folder, those of the editor included, and
// removes it.
func wipe(folder string) error {
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if err := os.Chmod(name, 0o600); err != nil {
			return err
		}
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.Write(make([]byte, info.Size()))
		return errors.Join(err, file.Close())
	})
	if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
		return fmt.Errorf("wiping the content in %s: %w", folder, err)
	}
	return nil
}

// editInMemory lets the user edit a content and returns what it became, nil when
// nothing has changed. What accept refuses may be edited again on a terminal.
func editInMemory(ctx context.Context, env *Env, name string, plain []byte, accept func([]byte) error) (edited []byte, err error) {
	folder, err := memoryFolder(env)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, wipe(folder)) }()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, plain, 0o600); err != nil {
		return nil, fmt.Errorf("writing the content to memory: %w", err)
	}
	for {
		if err := runEditor(ctx, env, file); err != nil {
			return nil, err
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil, errors.New("the editor has removed the content: the file stays as it was")
		}
		if info.Size() > maxEdited {
			return nil, fmt.Errorf("the content has more than %d bytes: the file stays as it was", maxEdited)
		}
		if edited, err = os.ReadFile(file); err != nil {
			return nil, errors.New("the editor has left a content that cannot be read: the file stays as it was")
		}
		if bytes.Equal(edited, plain) {
			return nil, nil
		}
		refused := accept(edited)
		if refused == nil {
			return edited, nil
		}
		if _, ok := terminal(env.Stdin); !ok {
			return nil, fmt.Errorf("%w: the file stays as it was", refused)
		}
		fmt.Fprintln(env.Stderr, "error:", refused)
		if err := agree(ctx, env, false, "Edit again?"); err != nil {
			return nil, err
		}
	}
}

// maxEdited bounds an edited content in bytes, so that it stays below what Flux
// takes once it is encrypted.
const maxEdited = 3 << 20

// runEditor runs the user's editor on a file. Its command may hold arguments, and
// is read by a shell, as Git does it.
func runEditor(ctx context.Context, env *Env, file string) error {
	editor := "vi"
	for _, variable := range []string{"SOPS_EDITOR", "VISUAL", "EDITOR"} {
		if value := env.Getenv(variable); value != "" {
			editor = value
			break
		}
	}
	err := tool.Interactive(ctx, tool.Command{
		Name: "sh", Args: []string{"-c", editor + ` "$1"`, "sh", file}, Env: withoutKeys(env.Environ),
	}, env.Stdin, env.Stdout, env.Stderr)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return hintError{fmt.Errorf("the editor %q has failed: the file stays as it was", editor), "set EDITOR to the editor of your choice"}
	}
	return nil
}
