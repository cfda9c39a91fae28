package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/secret"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// maxFolders bounds how many folders one build reads, each as often as it is
// referred to: folders that refer to one another twice would double at each level.
const maxFolders = 10_000

// kustomization is all of a kustomization.yaml that makes kustomize read
// something else.
type kustomization struct {
	// Files or folders.
	Resources, Bases, Components []string
	// Files, folders, or configurations that stand here.
	Generators, Transformers, Validators []string
	// Files.
	CRDs                  []string
	Configurations        []string
	PatchesStrategicMerge []string
	Patches               []patchFile
	PatchesJSON6902       []patchFile `json:"patchesJson6902"`
	Replacements          []patchFile
	OpenAPI               patchFile
	ConfigMapGenerator    []generator
	SecretGenerator       []generator
}

type patchFile struct{ Path string }

type generator struct {
	Name        string
	Files, Envs []string
	Env         string
}

// sources are the files of a generator; a file may be written key=file.
func (g generator) sources() []string {
	all := append(slices.Clone(g.Envs), g.Env)
	for _, source := range g.Files {
		if _, file, ok := strings.Cut(source, "="); ok {
			source = file
		}
		all = append(all, source)
	}
	return all
}

// reference is a file or folder that a kustomization.yaml names.
type reference struct {
	name     string
	resource bool // it declares objects
	plugin   bool // it configures a generator, a transformer or a validator
}

func (k kustomization) references() []reference {
	var all []reference
	add := func(r reference, names ...string) {
		for _, name := range names {
			if name != "" && !strings.Contains(name, "\n") { // what stands in the file itself refers to nothing
				r.name = name
				all = append(all, r)
			}
		}
	}
	add(reference{resource: true}, k.Resources...)
	add(reference{resource: true}, k.Bases...)
	add(reference{}, k.Components...)
	for _, list := range [][]string{k.Generators, k.Transformers, k.Validators} {
		add(reference{plugin: true}, list...)
	}
	for _, list := range [][]string{k.CRDs, k.Configurations, k.PatchesStrategicMerge} {
		add(reference{}, list...)
	}
	for _, list := range [][]patchFile{k.Patches, k.PatchesJSON6902, k.Replacements, {k.OpenAPI}} {
		for _, p := range list {
			add(reference{}, p.Path)
		}
	}
	for _, g := range slices.Concat(k.ConfigMapGenerator, k.SecretGenerator) {
		add(reference{}, g.sources()...)
	}
	return all
}

// inputs is what one build reads.
type inputs struct {
	tree    *tree
	files   map[string]bool
	declare map[string]bool   // those of the files that declare objects
	secrets map[string]string // files that Flux decrypts before the build, with the key that tells their format
	weights map[string]int
	// annotates says that something looks at annotations or replaces them, so that one more
	// annotation could change the result.
	annotates bool
	schema    bool // a kustomization sets the OpenAPI schema, which kustomize keeps globally
	problem   *finding.Finding
}

// inputsOf finds all that a build of folder reads, and refuses what could make it
// read anything else: kustomize takes for a URL whatever it cannot find, uses the
// network and starts git. name and content are of the folder's kustomization.yaml.
func (t *tree) inputsOf(folder, name string, content []byte) *inputs {
	in := &inputs{
		tree: t, files: map[string]bool{}, declare: map[string]bool{}, secrets: map[string]string{}, weights: map[string]int{},
	}
	in.visit(folder, name, content)
	return in
}

var annotations = regexp.MustCompile(`(?i)annotation|/metadata["']?\s*([,}]|$)`)

// visit returns how many folders a build of this one reads.
func (in *inputs) visit(folder, name string, content []byte) int {
	const underWay = -1
	if weight, ok := in.weights[folder]; ok {
		if weight == underWay {
			in.refuse("kustomize-build-failed", name, "", "the folder leads back to itself", "remove one of the references of the circle")
		}
		return weight
	}
	in.weights[folder] = underWay
	in.files[name] = true
	var k kustomization
	if err := sigsyaml.Unmarshal(content, &k); err != nil {
		in.refuse("kustomize-build-failed", name, "", "the file is no kustomization: "+line(err), "correct it")
		return 1
	}
	in.annotates = in.annotates || annotations.Match(content)
	in.schema = in.schema || k.OpenAPI.Path != "" || strings.Contains(string(content), "openapi")
	for _, g := range k.SecretGenerator {
		for _, f := range g.Files {
			key, file, ok := strings.Cut(f, "=")
			if !ok {
				file = key
			}
			in.secrets[path.Join(folder, file)] = key
		}
		for _, env := range append(slices.Clone(g.Envs), g.Env) {
			if env != "" {
				in.secrets[path.Join(folder, env)] = envKey(env)
			}
		}
	}
	for _, p := range k.Patches {
		if p.Path != "" {
			in.secrets[path.Join(folder, p.Path)] = p.Path
		}
	}
	for _, list := range [][]string{k.Generators, k.Transformers, k.Validators} {
		for _, text := range list {
			if strings.Contains(text, "\n") {
				in.plugin(name, []byte(text))
			}
		}
	}
	weight := 1
	for _, r := range k.references() {
		if in.problem != nil {
			return weight
		}
		weight += in.follow(folder, name, r)
		if weight > maxFolders {
			in.refuse("kustomize-build-failed", name, r.name, fmt.Sprintf("the build reads more than %d folders", maxFolders), "refer to each folder once")
			return weight
		}
	}
	in.weights[folder] = weight
	return weight
}

// envKey is a name that tells the format of a file of variables: dotenv, unless its own name tells another.
func envKey(env string) string {
	if formatOf(env) == secret.Binary {
		return env + ".env"
	}
	return env
}

func (in *inputs) follow(folder, name string, r reference) int {
	target := path.Join(folder, r.name)
	if path.IsAbs(r.name) || target == ".." || strings.HasPrefix(target, "../") {
		if looksRemote(r.name) {
			in.remote(name, r.name)
		}
		in.refuse("resource-missing", name, r.name, fmt.Sprintf("it refers to %s, which is outside of the source", r.name), "copy it into the source, and use a relative path")
		return 0
	}
	if target == "." {
		target = ""
	}
	_, isFolder := in.tree.folders[target]
	f := in.tree.files[target]
	switch {
	case isFolder && looksRemote(r.name) || !isFolder && f == nil && looksRemote(r.name) || fetches(r.name):
		in.remote(name, r.name)
		return 0
	case isFolder:
		own := in.tree.kustomizationFile(target)
		if own == "" {
			in.refuse("resource-missing", name, r.name, fmt.Sprintf("the folder %s has no kustomization.yaml", r.name), "add one, or name the files")
			return 0
		}
		content, err := in.tree.files[own].content()
		if err != nil {
			in.unreadable(own, err)
			return 0
		}
		return in.visit(target, own, content)
	case f == nil:
		message := fmt.Sprintf("it refers to %s, which is not there", r.name)
		if in.tree.links[target] {
			message = fmt.Sprintf("it refers to %s, a symbolic link, which Flux leaves out of what it fetches", r.name)
		}
		in.refuse("resource-missing", name, r.name, message, "correct the path, add the file, or remove the reference; what .sourceignore, spec.ignore or .gitignore exclude is not there for Flux")
		return 0
	}
	content, err := f.content()
	if err != nil {
		in.unreadable(target, err)
		return 0
	}
	in.files[target] = true
	if r.plugin {
		in.plugin(target, content)
	}
	if r.resource {
		in.declare[target] = true
	} else {
		in.annotates = in.annotates || annotations.Match(content)
	}
	return 0
}

// plugin refuses a configuration of a builtin plugin that fetches a file.
func (in *inputs) plugin(name string, content []byte) {
	in.annotates = true
	y, findings := source.ParseYAML(name, content)
	if y == nil {
		if len(findings) > 0 && in.problem == nil {
			in.problem = &findings[0]
		}
		return
	}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains([]string{"path", "files", "env", "envs"}, n.Content[i-1].Value) {
				in.local(name, c)
			}
			visit(c) // not what an alias stands for: it is looked at where it is written
		}
	}
	for _, d := range y.Documents {
		visit(d)
	}
}

func (in *inputs) local(name string, n *yaml.Node) {
	for _, c := range append(slices.Clone(n.Content), n) {
		if c.Kind == yaml.AliasNode {
			c = c.Alias
		}
		_, file, _ := strings.Cut(c.Value, "=") // key=file
		if c.Kind == yaml.ScalarNode && (fetches(file) || fetches(c.Value)) {
			in.remote(name, c.Value)
		}
	}
}

func (in *inputs) remote(name, value string) {
	in.refuse("base-remote", name, value, value+" is fetched from elsewhere at each reconciliation, and cannot be rendered offline",
		"copy it into the repository, or give it a source and a Flux Kustomization of its own")
}

func (in *inputs) unreadable(name string, err error) {
	if in.problem == nil {
		f := source.Unreadable(name, err)
		in.problem = &f
	}
}

// refuse records the first problem, at the scalar that has the value, or at the file as a whole.
func (in *inputs) refuse(rule, name, value, message, fix string) {
	if in.problem != nil {
		return
	}
	in.problem = &finding.Finding{
		Rule: rule, Severity: finding.Error, Message: message, Fix: fix, Position: in.tree.positionOf(name, value),
	}
}

// positionOf is where a value stands in a file as a scalar; the file when it does not.
func (t *tree) positionOf(name, value string) finding.Position {
	f := t.files[name]
	if f == nil {
		return finding.Position{File: name}
	}
	y, documents := f.documents()
	var at *yaml.Node
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		if at == nil && n.Kind == yaml.ScalarNode && n.Value == value {
			at = n
		}
		for _, c := range n.Content {
			visit(c)
		}
	}
	for _, d := range documents {
		if value != "" {
			visit(d)
		}
	}
	if at == nil {
		return finding.Position{File: name}
	}
	return y.Position(at)
}

// check reads the files that declare objects as YAML, within bounds, before kustomize does.
func (in *inputs) check() *finding.Finding {
	for _, name := range slices.Sorted(maps.Keys(in.declare)) {
		f := in.tree.files[name]
		if f.documents(); f.problem != nil {
			return f.problem
		}
	}
	return nil
}

// digest writes the names and the contents of all inputs but one, which is generated.
func (in *inputs) digest(to hash.Hash, but string) error {
	for _, name := range slices.Sorted(maps.Keys(in.files)) {
		if name == but {
			continue
		}
		f := in.tree.files[name]
		if _, err := f.content(); err != nil {
			return err
		}
		fmt.Fprintf(to, "%s\x00", name)
		to.Write(f.sum[:])
	}
	return nil
}

// looksRemote says whether kustomize may take a reference to a folder for a Git
// repository. It is a little stricter than kustomize's NewRepoSpecFromURL.
func looksRemote(name string) bool {
	name = strings.ToLower(name)
	user := regexp.MustCompile(`^[a-z][a-z0-9-]*@`)
	return strings.Contains(name, "://") || strings.HasPrefix(name, "git::") || strings.HasPrefix(name, "gh:") ||
		strings.HasPrefix(name, "github.com/") || strings.HasPrefix(name, "github.com:") || user.MatchString(name)
}

// fetches says whether kustomize would fetch a file: its IsRemoteFile.
func fetches(name string) bool {
	u, err := url.Parse(name)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// line is an error as one line of bounded length.
func line(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "..."
	}
	return text
}

// keyOf is a digest of parts, each apart from the next.
func keyOf(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
