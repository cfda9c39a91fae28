package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"archipel/internal/tool"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Programs are the upstream programs and files that a lab runs, in the cache.
type Programs struct {
	ControlPlane string // etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok
	Upstream     string // answers the production URLs
	WireGuard    string // wireguard-go, for hosts whose kernel has none
	K3s          string // folder of k3s's artefacts for hosts, by version
	Source       string // Flux's controllers
	Kustomize    string
	Helm         string
	Notification string
	Stages       string // kwok's rules: how simulated nodes and pods become ready
	Content      string // charts and artefacts that Upstream serves
	Definitions  string // folder of manifests that the bootstrap applies before Flux starts
}

// reportInterval keeps a log of the build, which compiles thousands of packages, readable.
const reportInterval = 3 * time.Second

// target is one program to build.
type target struct {
	file, importPath string
	linker           string // flags, which carry the version
}

// targets returns what to build for a version of Kubernetes.
func targets(kubernetes string) []target {
	all := []target{
		{"bin/controlplane", "archipel/lab/cmd/controlplane", versionFlags(kubernetes)},
		{"bin/source-controller", "github.com/fluxcd/source-controller", ""},
		{"bin/kustomize-controller", "github.com/fluxcd/kustomize-controller", ""},
		{"bin/helm-controller", "github.com/fluxcd/helm-controller", ""},
		{"bin/notification-controller", "github.com/fluxcd/notification-controller", ""},
		{"bin/upstream", "archipel/lab/cmd/upstream", ""},
		{"bin/wireguard-go", "golang.zx2c4.com/wireguard", ""},
	}
	for _, version := range k3sVersions(kubernetes) {
		all = append(all, target{path.Join("k3s", version, "k3s"), "archipel/lab/cmd/k3s", " -X main.version=" + version})
	}
	return all
}

// k3sVersions are two, so that there is something to upgrade to.
func k3sVersions(kubernetes string) []string {
	return []string{kubernetes + "+k3s1", kubernetes + "+k3s2"}
}

func programsIn(dir string) Programs {
	bin := func(name string) string { return filepath.Join(dir, "bin", name) }
	return Programs{
		ControlPlane: bin("controlplane"), Upstream: bin("upstream"),
		WireGuard: bin("wireguard-go"), K3s: filepath.Join(dir, "k3s"),
		Source: bin("source-controller"), Kustomize: bin("kustomize-controller"),
		Helm: bin("helm-controller"), Notification: bin("notification-controller"),
		Stages:      filepath.Join(dir, "stages.yaml"),
		Content:     filepath.Join(dir, "content"),
		Definitions: filepath.Join(dir, "definitions"),
	}
}

// buildSpace is what the compiler's cache, the modules and the programs take
// the first time, in bytes.
const buildSpace = 8 << 30

// buildFlags make programs that depend on nothing of the machine.
func buildFlags() []string { return []string{"-mod=readonly", "-trimpath"} }

// Build returns the lab's programs and builds them when the cache does not hold
// what the sources under lab/ ask for. The key is the content of those sources
// and the compiler, so that nothing is built twice.
func (l *Lab) Build(ctx context.Context, report func(string)) (Programs, error) {
	key, err := l.buildKey(ctx)
	if err != nil {
		return Programs{}, err
	}
	cache := filepath.Join(l.config.CacheHome, "archipel", "lab")
	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil {
		return programsIn(dir), nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Programs{}, fmt.Errorf("building the lab's programs: %w", err)
	}
	unlock, err := waitLock(ctx, cache, func() { report("waiting for another build of the lab's programs") })
	if err != nil {
		return Programs{}, err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil { // the other build made it
		return programsIn(dir), nil
	}
	if err := checkSpace(cache, buildSpace, "building the lab's programs"); err != nil {
		return Programs{}, err
	}
	work, err := os.MkdirTemp(cache, ".building-")
	if err != nil {
		return Programs{}, fmt.Errorf("building the lab's programs: %w", err)
	}
	defer os.RemoveAll(work)
	if err := l.buildInto(ctx, work, report); err != nil {
		return Programs{}, fmt.Errorf("building the lab's programs: %w", err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return Programs{}, fmt.Errorf("building the lab's programs: %w", err)
	}
	if err := os.Rename(work, dir); err != nil {
		return Programs{}, fmt.Errorf("building the lab's programs: %w", err)
	}
	removeOld(cache, key, l.config.Now())
	return programsIn(dir), nil
}

// removeOld deletes what builds of other sources left in the cache two weeks
// ago or earlier: 500 MB each. A lab that runs them goes on, and builds anew
// after it was taken down. What cannot be deleted is left for the next time.
func removeOld(cache, keep string, now time.Time) {
	const age = 14 * 24 * time.Hour
	entries, _ := os.ReadDir(cache)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && entry.Name() != keep && now.Sub(info.ModTime()) > age {
			_ = os.RemoveAll(filepath.Join(cache, entry.Name()))
		}
	}
}

// Built says whether Build would return at once.
func (l *Lab) Built(ctx context.Context) (bool, error) {
	key, err := l.buildKey(ctx)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(filepath.Join(l.config.CacheHome, "archipel", "lab", key))
	return err == nil, nil
}

// buildKey hashes what the programs are made from.
func (l *Lab) buildKey(ctx context.Context) (string, error) {
	version, err := tool.Run(ctx, l.goCommand("", "env", "GOVERSION", "GOOS", "GOARCH"))
	if err != nil {
		return "", fmt.Errorf("finding the Go compiler: %w", err)
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%q\n", version, buildFlags())
	sources := l.labSources()
	err = filepath.WalkDir(sources, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if filepath.Dir(name) == filepath.Join(sources, "cmd", "schemas") {
			return nil // it writes a part of archipel, and no lab runs it
		}
		built := filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
		if base := filepath.Base(name); !built && base != "go.mod" && base != "go.sum" {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(sources, name)
		fmt.Fprintf(hash, "%s %x\n", filepath.ToSlash(relative), sha256.Sum256(data))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the lab's sources: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

func (l *Lab) labSources() string { return filepath.Join(l.config.Repository, "lab") }

// goCommand runs in a folder of lab/, whatever go.work or flags the user has.
func (l *Lab) goCommand(folder string, args ...string) tool.Command {
	return tool.Command{
		Name: "go", Args: args, Dir: filepath.Join(l.labSources(), folder),
		Env: append(slices.Clone(l.config.Environment), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0"),
	}
}

func (l *Lab) buildInto(ctx context.Context, work string, report func(string)) error {
	kubernetes, err := l.moduleVersion(ctx, "", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	all := targets(kubernetes)
	for i, t := range all {
		step := fmt.Sprintf("building %s (%d of %d)", path.Base(t.file), i+1, len(all))
		report(step)
		args := append([]string{"build"}, buildFlags()...)
		args = append(args, "-v", "-ldflags=-s -w"+t.linker, "-o", filepath.Join(work, filepath.FromSlash(t.file)), t.importPath)
		command := l.goCommand("", args...)
		compiled, said := 0, time.Time{}
		// The compiler names each package that it compiles, and each module that it downloads.
		command.Line = func(line string) {
			if strings.HasPrefix(line, "go: downloading ") {
				report(step + ": " + strings.TrimPrefix(line, "go: "))
				return
			}
			if compiled++; l.config.Now().Sub(said) > reportInterval {
				said = l.config.Now()
				report(fmt.Sprintf("%s: package %d, %s", step, compiled, line))
			}
		}
		if _, err := tool.Run(ctx, command); err != nil {
			return err
		}
	}
	report("packing charts and Flux's manifests")
	if err := l.packK3s(ctx, work, k3sVersions(kubernetes)); err != nil {
		return err
	}
	return l.pack(ctx, work, kubernetes)
}

// emptyImages is a tar archive without files, compressed by Zstandard: the
// nodes of the lab run no containers.
const emptyImages = "\x28\xb5\x2f\xfd" + // magic number
	"\x60\x00\x03" + // one segment of 1024 bytes
	"\x03\x20\x00\x00" // the last block: 1024 times zero

// packK3s puts beside each k3s what a release of it holds: the checksums and
// the images, under the names that they have for this architecture.
func (l *Lab) packK3s(ctx context.Context, work string, versions []string) error {
	out, err := tool.Run(ctx, l.goCommand("", "env", "GOARCH"))
	if err != nil {
		return err
	}
	arch := strings.TrimSpace(string(out))
	for _, version := range versions {
		dir := filepath.Join(programsIn(work).K3s, version)
		binary := "k3s"
		if arch != "amd64" {
			binary += "-" + arch
			if err := os.Rename(filepath.Join(dir, "k3s"), filepath.Join(dir, binary)); err != nil {
				return err
			}
		}
		images := "k3s-airgap-images-" + arch + ".tar.zst"
		if err := os.WriteFile(filepath.Join(dir, images), []byte(emptyImages), 0o644); err != nil {
			return err
		}
		var sums strings.Builder
		for _, name := range []string{binary, images} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		}
		if err := os.WriteFile(filepath.Join(dir, "sha256sum-"+arch+".txt"), []byte(sums.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// versionFlags makes Kubernetes report itself as k3s would: kubectl and charts
// look at it.
func versionFlags(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := ""
	for _, f := range [][2]string{
		{"gitVersion", version + "+k3s1"}, {"gitMajor", parts[0]}, {"gitMinor", parts[1]}, {"gitTreeState", "clean"},
	} {
		flags += " -X k8s.io/component-base/version." + f[0] + "=" + f[1]
	}
	return flags
}

// module is what `go mod download -json` and `go list -m -json` say of a module.
type module struct {
	Path, Version, Dir string
}

func (l *Lab) moduleVersion(ctx context.Context, folder, name string) (string, error) {
	out, err := tool.Run(ctx, l.goCommand(folder, "list", "-m", "-f", "{{.Version}}", name))
	return strings.TrimSpace(string(out)), err
}

// pack makes what Upstream serves and what the bootstrap applies from the files
// of the modules that lab/go.mod and lab/manifests/go.mod pin.
func (l *Lab) pack(ctx context.Context, work, kubernetes string) error {
	served, err := tool.Run(ctx, l.goCommand("manifests", "mod", "download", "-json"))
	if err != nil {
		return err
	}
	args := []string{"mod", "download", "-json", "sigs.k8s.io/kwok", "github.com/fluxcd/flux2/v2"}
	for _, t := range targets(kubernetes) {
		if strings.HasPrefix(t.importPath, "github.com/fluxcd/") {
			args = append(args, t.importPath)
		}
	}
	linked, err := tool.Run(ctx, l.goCommand("", args...))
	if err != nil {
		return err
	}
	modules, err := parseModules(io.MultiReader(bytes.NewReader(served), bytes.NewReader(linked)))
	if err != nil {
		return err
	}
	programs := programsIn(work)
	if err := writeStages(programs.Stages, modules["sigs.k8s.io/kwok"].Dir); err != nil {
		return err
	}
	_, err = tool.Run(ctx, tool.Command{
		Name: programs.Upstream, Args: []string{"pack", "--modules=-", "--out=" + programs.Content},
		In: io.MultiReader(bytes.NewReader(served), bytes.NewReader(linked)), Dir: work, Env: l.config.Environment,
	})
	if err != nil {
		return err
	}
	return writeDefinitions(programs, modules["github.com/cilium/cilium"].Dir)
}

func parseModules(r io.Reader) (map[string]module, error) {
	modules := map[string]module{}
	for decoder := json.NewDecoder(r); ; {
		var m module
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return modules, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading go mod download's answer: %w", err)
		}
		modules[m.Path] = m
	}
}

// stages are the rules of kwok that the lab needs; it has none by default.
func stages() []string {
	return []string{
		"node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease",
		"pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete",
	}
}

func writeStages(file, kwok string) error {
	var all bytes.Buffer
	for _, stage := range stages() {
		data, err := os.ReadFile(filepath.Join(kwok, "kustomize", "stage", filepath.FromSlash(stage)+".yaml"))
		if err != nil {
			return fmt.Errorf("reading kwok's rules: %w", err)
		}
		all.WriteString("---\n")
		all.Write(data)
	}
	return os.WriteFile(file, all.Bytes(), 0o644)
}

// bootstrapKinds are the objects of Flux's manifests that must be there before
// its controllers start. Flux applies the rest itself, from the same artefact.
func bootstrapKinds() []string { return []string{"CustomResourceDefinition", "Namespace"} }

// toolkit matches the definitions of the controllers that the tree keeps.
var toolkit = regexp.MustCompile(`^[a-z]+\.(source|kustomize|helm|notification)\.toolkit\.fluxcd\.io$`)

// writeDefinitions keeps the definitions of Flux and of Cilium, whose operator
// makes them when it starts: in the lab it does not.
func writeDefinitions(programs Programs, cilium string) error {
	if err := os.MkdirAll(programs.Definitions, 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(programs.Content, "manifests", "flux.yaml"))
	if err != nil {
		return fmt.Errorf("reading Flux's manifests: %w", err)
	}
	objects, err := parseObjects(data)
	if err != nil {
		return fmt.Errorf("reading Flux's manifests: %w", err)
	}
	objects = slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool {
		return !contains(bootstrapKinds(), object.GetKind()) ||
			object.GetKind() == "CustomResourceDefinition" && !toolkit.MatchString(object.GetName())
	})
	files, err := filepath.Glob(filepath.Join(cilium, "pkg", "k8s", "apis", "cilium.io", "client", "crds", "v2*", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("reading Cilium's definitions in %s: found none (%w)", cilium, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading Cilium's definitions: %w", err)
		}
		definitions, err := parseObjects(data)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		objects = append(objects, definitions...)
	}
	out, err := json.Marshal(objects)
	if err != nil {
		return err
	}
	return os.WriteFile(programs.definitionsFile(), out, 0o644)
}

// definitionsFile is JSON: it is read at each start, and YAML takes ten times as long.
func (p Programs) definitionsFile() string { return filepath.Join(p.Definitions, "all.json") }

// definitions returns what the bootstrap applies before Flux starts.
func (p Programs) definitions() ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(p.definitionsFile())
	if err != nil {
		return nil, fmt.Errorf("reading the definitions of Flux and Cilium: %w", err)
	}
	var objects []*unstructured.Unstructured
	if err := json.Unmarshal(data, &objects); err != nil {
		return nil, fmt.Errorf("reading %s: %w", p.definitionsFile(), err)
	}
	return objects, nil
}

// documentStart separates YAML documents.
var documentStart = regexp.MustCompile(`(?m)^---[ \t]*(#.*)?\r?$`)

func parseObjects(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, document := range documentStart.Split(string(data), -1) {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			return nil, err
		}
		if len(content) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
	return objects, nil
}

// waitLock locks a folder, calling waiting when somebody else has it.
func waitLock(ctx context.Context, dir string, waiting func()) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	for said := false; ; said = true {
		err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { folder.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			folder.Close()
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		}
		if !said {
			waiting()
		}
		if err := sleep(ctx, pollInterval); err != nil {
			folder.Close()
			return nil, err
		}
	}
}
