package terraform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// digest is that of what a plan follows from: the tool, the backend, the Terraform tree
// without the other sites, and, unless it is for init only, the inventories that the site's
// machines are read from.
func (w *Workspace) digest(init bool) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00%q\x00%s\x00", w.Tool.Path, w.Tool.Version, w.Backend, w.Built)
	envs := filepath.Dir(w.Dir)
	for _, variable := range w.Environ {
		if strings.HasPrefix(variable, "TF_CLI_CONFIG_FILE=") || strings.HasPrefix(variable, "AWS_ENDPOINT_URL") {
			fmt.Fprintf(sum, "%s\x00", variable)
		}
	}
	roots := append([]string{filepath.Dir(envs)}, w.Files...)
	if !init {
		inventories := filepath.Join(w.Root, "kubernetes", "ansible", "inventories")
		roots = append(roots, filepath.Join(inventories, "fleet.yml"), filepath.Join(inventories, w.Site))
	}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && name == root:
				return nil
			case err != nil:
				return err
			case entry.IsDir() && filepath.Dir(name) == envs && name != w.Dir, entry.IsDir() && entry.Name() == ".terraform", entry.IsDir() && entry.Name() == "tests":
				return fs.SkipDir
			case entry.IsDir(), !entry.Type().IsRegular(), strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".tfstate"), strings.HasSuffix(name, ".tfstate.backup"), strings.HasPrefix(entry.Name(), ".terraform.tfstate"):
				return nil
			}
			file, err := os.Open(name)
			if err != nil {
				return err
			}
			defer file.Close()
			relative, err := filepath.Rel(w.Root, name)
			if err != nil {
				return err
			}
			content := sha256.New()
			if _, err := io.Copy(content, file); err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s\x00%x\x00", relative, content.Sum(nil))
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("reading what a plan of %s follows from: %w", w.Site, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
