// Package scan asks other security scanners about what archipel renders.
package scan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"archipel/internal/check"
	"archipel/internal/finding"
)

// ErrMissing is a program that is not there.
var ErrMissing = errors.New("the program is not there")

// Trivy is Trivy's engine, as the program archipel-scan runs it. It is used for one run of check.
type Trivy struct {
	// Run gives a request to archipel-scan, and returns its answer. The error is ErrMissing
	// when there is no such program.
	Run func(ctx context.Context, request []byte) ([]byte, error)
	// Cache keeps answers; nil keeps none.
	Cache Cache

	mu      sync.Mutex
	objects map[string]*object // by the hash of what is sent
}

// Cache keeps the answers of one version of a scanner, by the hash of what was asked. What
// cannot be read or written counts as not there.
type Cache interface {
	Get(hash string) ([]byte, bool)
	Put(hash string, answer []byte)
}

// object is what is sent of some objects that are the same, but for what differs by site.
type object struct {
	content []byte
	seen    []place
}

// place is where an object of one site stands.
type place struct {
	site       string
	subject    string
	owner      finding.Owner
	position   finding.Position
	containers []string
}

// request and answer are those of archipel-scan, described in its package engine.
type request struct {
	Objects []requestObject `json:"objects"`
	Files   []requestFile   `json:"files"`
}

type requestObject struct {
	ID      string          `json:"id"`
	Content json.RawMessage `json:"content"`
}

type requestFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

type answer struct {
	Findings []result  `json:"findings"`
	Failed   []failure `json:"failed"`
}

type result struct {
	Object   string `json:"object,omitempty"`
	Path     string `json:"path,omitempty"`
	Line     int    `json:"line,omitempty"`
	Check    string `json:"check"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	Message  string `json:"message"`
	Fix      string `json:"fix"`
}

type failure struct {
	Object string `json:"object,omitempty"`
	Reason string `json:"reason"`
}

// Site notes what the site runs.
func (t *Trivy) Site(s *check.Site) {
	sites := make([]string, len(s.Fleet.Fleet.Sites))
	for i, site := range s.Fleet.Fleet.Sites {
		sites[i] = site.Name
	}
	strip := newStripper(sites)
	for _, o := range s.Render.Objects {
		content, ok := strip.object(o)
		if !ok {
			continue
		}
		sum := sha256.Sum256(content)
		hash := hex.EncodeToString(sum[:])
		at := place{
			site: s.Site.Name, subject: check.Subject(o), owner: check.Owner(o), position: s.At(o), containers: check.ContainerNames(o),
		}
		t.mu.Lock()
		if t.objects == nil {
			t.objects = map[string]*object{}
		}
		if t.objects[hash] == nil {
			t.objects[hash] = &object{content: content}
		}
		t.objects[hash].seen = append(t.objects[hash].seen, at)
		t.mu.Unlock()
	}
}

// terraformHash is under which the answer about the Terraform tree is kept.
func terraformHash(files []requestFile) string {
	hash := sha256.New()
	for _, file := range files {
		fmt.Fprintf(hash, "%q %q\n", file.Path, file.Content)
	}
	return "terraform-" + hex.EncodeToString(hash.Sum(nil))
}

// Finish asks about what no cache knows.
func (t *Trivy) Finish(ctx context.Context, f *check.Fleet) ([]finding.Finding, error) {
	var ask request
	known := map[string][]result{}
	for hash, o := range t.objects {
		if results, ok := t.cached(hash); ok {
			known[hash] = results
			continue
		}
		ask.Objects = append(ask.Objects, requestObject{hash, o.content})
	}
	slices.SortFunc(ask.Objects, func(a, b requestObject) int { return strings.Compare(a.ID, b.ID) })
	tree, err := terraformFiles(f)
	if err != nil {
		return nil, err
	}
	treeHash := terraformHash(tree)
	if results, ok := t.cached(treeHash); ok {
		known[treeHash] = results
	} else {
		ask.Files = tree
	}
	if len(ask.Objects)+len(ask.Files) > 0 {
		fresh, err := t.ask(ctx, ask)
		switch {
		case errors.Is(err, ErrMissing):
			f.Skip("engine-missing", "Trivy's checks did not run: archipel-scan is not there; make scan builds it")
			return nil, nil
		case err != nil:
			return nil, err
		}
		failed := map[string]bool{}
		for _, one := range fresh.Failed {
			failed[one.Object] = true
			f.Skip("engine-failed", "Trivy's checks did not look at "+t.nameOf(one.Object)+": "+oneLine(one.Reason))
		}
		byKey := map[string][]result{}
		for _, r := range fresh.Findings {
			key := r.Object
			if key == "" {
				key = treeHash
			}
			byKey[key] = append(byKey[key], r)
		}
		for _, o := range ask.Objects {
			if !failed[o.ID] {
				known[o.ID] = byKey[o.ID]
				t.keep(o.ID, byKey[o.ID])
			}
		}
		if len(ask.Files) > 0 && !failed[""] {
			known[treeHash] = byKey[treeHash]
			t.keep(treeHash, byKey[treeHash])
		}
	}
	var findings []finding.Finding
	for key, results := range known {
		for _, r := range results {
			if key == treeHash {
				findings = append(findings, r.inFile())
				continue
			}
			for _, at := range t.objects[key].seen {
				findings = append(findings, r.at(at))
			}
		}
	}
	return finding.Dedup(findings), nil
}

func (t *Trivy) cached(hash string) ([]result, bool) {
	if t.Cache == nil {
		return nil, false
	}
	data, ok := t.Cache.Get(hash)
	if !ok {
		return nil, false
	}
	var results []result
	return results, json.Unmarshal(data, &results) == nil
}

func (t *Trivy) keep(hash string, results []result) {
	if t.Cache == nil {
		return
	}
	if data, err := json.Marshal(results); err == nil {
		t.Cache.Put(hash, data)
	}
}

func (t *Trivy) ask(ctx context.Context, ask request) (*answer, error) {
	data, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("asking archipel-scan: %w", err)
	}
	out, err := t.Run(ctx, data)
	if err != nil {
		return nil, err
	}
	var got answer
	if err := json.Unmarshal(out, &got); err != nil {
		return nil, fmt.Errorf("reading the answer of archipel-scan: %w", err)
	}
	return &got, nil
}

func (t *Trivy) nameOf(hash string) string {
	if o, ok := t.objects[hash]; ok {
		return o.seen[0].subject
	}
	return "the Terraform tree"
}

// terraformFiles are the files that Terraform reads, in the order of their names.
func terraformFiles(f *check.Fleet) ([]requestFile, error) {
	var files []requestFile
	for _, name := range f.Files {
		if !strings.HasPrefix(name, "kubernetes/terraform/") || path.Ext(name) != ".tf" {
			continue
		}
		data, err := f.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		files = append(files, requestFile{name, string(data)})
	}
	return files, nil
}

// at makes a result about an object a finding at one of its places.
func (r result) at(p place) finding.Finding {
	f := r.finding()
	f.Position, f.Subject, f.Owner, f.Sites = p.position, p.subject, p.owner, []string{p.site}
	if m := regexp.MustCompile(`(?i)\bcontainer ['"]?([a-z0-9-]+)`).FindStringSubmatch(r.Message); m != nil && slices.Contains(p.containers, m[1]) {
		f.Subject += " container " + m[1]
	}
	return f
}

func (r result) inFile() finding.Finding {
	f := r.finding()
	f.Position, f.Owner = finding.Position{File: r.Path, Line: r.Line}, finding.Ours
	return f
}

func (r result) finding() finding.Finding {
	severity := finding.Warning
	if r.Severity == "CRITICAL" || r.Severity == "HIGH" {
		severity = finding.Error
	}
	return finding.Finding{
		Rule: "trivy-" + strings.ToLower(r.Check), Severity: severity, Also: []string{"trivy " + r.Check},
		Message: sentence(r.Title + ": " + r.Message), Fix: sentence(r.Fix),
	}
}

// sentence makes of a text one line without a full stop.
func sentence(text string) string {
	return strings.TrimRight(oneLine(text), ".")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
