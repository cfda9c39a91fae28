package hosts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"archipel/internal/tool"
)

//go:embed image
var image embed.FS

// packages are those of a host beyond the smallest system: what a server image
// has, and nothing of the cluster.
func packages() []string {
	return []string{
		"systemd", "systemd-sysv", "systemd-timesyncd", "dbus", "libpam-systemd", "openssh-server", "sudo",
		"python3-minimal", "python3-apt", "iproute2", "iputils-ping", "ca-certificates", "curl", "procps", "kmod",
		"nftables", "iptables", "wireguard-tools",
	}
}

// files are where the parts of the image go.
func files() map[string]string {
	return map[string]string{
		"image/init.sh":     "usr/lib/archipel-lab/init",
		"image/modules":     "usr/lib/archipel-lab/modules",
		"image/sysctl.conf": "etc/systemd/system/systemd-sysctl.service.d/lab.conf",
	}
}

// Release is the system of the machine, which is that of the hosts too: its apt
// sources are known to work.
type Release struct{ ID, Codename string }

// MachineRelease reads /etc/os-release.
func MachineRelease() (Release, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return Release{}, fmt.Errorf("finding out the system of this machine: %w", err)
	}
	return parseRelease(string(data))
}

func parseRelease(text string) (Release, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = strings.Trim(value, `"'`)
	}
	r := Release{ID: values["ID"], Codename: values["VERSION_CODENAME"]}
	if !slices.Contains([]Release{{"debian", "bookworm"}, {"ubuntu", "noble"}}, r) {
		return r, fmt.Errorf("a lab with hosts installs them from the apt sources of this machine, which must be Debian 12 or Ubuntu 24.04, not %s %s", r.ID, r.Codename)
	}
	return r, nil
}

// ImageKey names the content of the image.
func ImageKey(r Release) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q\n", mmdebstrap(r, "", nil))
	err := fs.WalkDir(image, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := image.ReadFile(name)
		fmt.Fprintf(hash, "%s %x\n", name, sha256.Sum256(data))
		return err
	})
	return hex.EncodeToString(hash.Sum(nil))[:16], err
}

// BuildImage makes the root filesystem of the hosts in a folder that does not
// exist yet.
func BuildImage(ctx context.Context, r Release, dir string, report func(string)) error {
	sources, err := machineSources("/etc/apt", r)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "archipel-image-")
	if err != nil {
		return fmt.Errorf("building the image of the hosts: %w", err)
	}
	defer os.RemoveAll(work)
	var names []string
	for i, text := range sources {
		name := filepath.Join(work, fmt.Sprintf("%d.sources", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("building the image of the hosts: %w", err)
		}
		names = append(names, name)
	}
	args := mmdebstrap(r, dir, names)
	if _, err := tool.Run(ctx, tool.Command{Name: args[0], Args: args[1:], Line: func(line string) {
		if text, ok := strings.CutPrefix(line, "I: "); ok {
			report(text)
		}
	}}); err != nil {
		return fmt.Errorf("building the image of the hosts: %w", err)
	}
	for from, to := range files() {
		data, err := image.ReadFile(from)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o644)); err != nil {
			return fmt.Errorf("building the image of the hosts: %w", err)
		}
	}
	setup, err := image.ReadFile("image/setup.sh")
	if err != nil {
		return err
	}
	if _, err := tool.Run(ctx, tool.Command{
		Name: "chroot", Args: []string{dir, "/bin/sh", "-eu"}, In: bytes.NewReader(setup),
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
	}); err != nil {
		return fmt.Errorf("building the image of the hosts: %w", err)
	}
	return nil
}

// mmdebstrap is the command line that installs the packages.
func mmdebstrap(r Release, dir string, sources []string) []string {
	return append([]string{
		"mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", "--include=" + strings.Join(packages(), ","),
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		r.Codename, dir,
	}, sources...)
}

// blankLine separates the sources in a file of deb822's format.
var blankLine = regexp.MustCompile(`\n[ \t]*\n`)

// machineSources returns the machine's apt sources that hold its own system, each
// in the format of its file. Others, of single programs, have suites of their own.
func machineSources(apt string, r Release) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(apt, "sources.list.d", "*"))
	if err != nil {
		return nil, fmt.Errorf("reading the apt sources of this machine: %w", err)
	}
	var lines, stanzas []string
	for _, name := range append([]string{filepath.Join(apt, "sources.list")}, names...) {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the apt sources of this machine: %w", err)
		}
		switch filepath.Ext(name) {
		case ".list":
			for line := range strings.Lines(string(data)) {
				if ofSystem(strings.Fields(line), "deb", r.Codename) {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
		case ".sources":
			for _, stanza := range blankLine.Split(string(data), -1) {
				var words []string
				for line := range strings.Lines(stanza) {
					key, value, _ := strings.Cut(line, ":")
					switch strings.ToLower(key) {
					case "types", "suites", "components":
						words = append(words, strings.Fields(value)...)
					case "enabled":
						if strings.TrimSpace(value) == "no" {
							words = nil
						}
					}
				}
				if ofSystem(words, "deb", r.Codename) {
					stanzas = append(stanzas, strings.TrimSpace(stanza))
				}
			}
		}
	}
	var sources []string
	if len(lines) > 0 {
		sources = append(sources, strings.Join(lines, "\n")+"\n")
	}
	if len(stanzas) > 0 {
		sources = append(sources, strings.Join(stanzas, "\n\n")+"\n")
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("the apt sources in %s hold no suite %s with the component main", apt, r.Codename)
	}
	return sources, nil
}

// ofSystem says whether the words of a source hold all of these, or a suite of the
// release beside them.
func ofSystem(words []string, kind, codename string) bool {
	suite := slices.ContainsFunc(words, func(word string) bool {
		return slices.Contains([]string{codename, codename + "-updates", codename + "-security"}, word)
	})
	return suite && slices.Contains(words, kind) && slices.Contains(words, "main")
}
