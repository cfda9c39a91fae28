// Package engine runs Trivy's embedded checks over what a request holds.
package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy/pkg/iac/rego"
	"github.com/aquasecurity/trivy/pkg/iac/scan"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/kubernetes/parser"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/options"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/terraform"
	"github.com/aquasecurity/trivy/pkg/iac/types"
	"golang.org/x/sync/errgroup"
)

// maxRequest bounds what is read, in bytes: 50 sites with nothing in common take about 60 MB.
const maxRequest = 512 << 20

// ErrRequest is a request that cannot be used.
var ErrRequest = errors.New("bad request")

// Request is what is to be scanned.
type Request struct {
	Objects []Object `json:"objects"`
	Files   []File   `json:"files"`
}

// Object is a Kubernetes object.
type Object struct {
	ID      string          `json:"id"` // of the sender's choice
	Content json.RawMessage `json:"content"`
}

// File is a file of a Terraform tree.
type File struct {
	Path    string `json:"path"` // slash-separated, relative to one root for all
	Content string `json:"content"`
}

// Response is what was found.
type Response struct {
	Version  string    `json:"version"`
	Findings []Finding `json:"findings"` // by object or path, then by check and message
	Failed   []Failure `json:"failed"`   // what could not be scanned
}

// Finding is a check that an object or a file does not pass.
type Finding struct {
	Object   string `json:"object,omitempty"` // its id
	Path     string `json:"path,omitempty"`   // of a file
	Line     int    `json:"line,omitempty"`   // of a file, from 1; 0 when it is about the whole
	Check    string `json:"check"`            // "KSV-0017"
	Severity string `json:"severity"`         // CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN
	Title    string `json:"title"`
	Message  string `json:"message"`
	Fix      string `json:"fix"`
}

// Failure is an object or the files that could not be scanned.
type Failure struct {
	Object string `json:"object,omitempty"` // empty: the files
	Reason string `json:"reason"`
}

// Version names the engine and its checks: what they find depends on nothing else.
func Version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	var parts []string
	for _, module := range build.Deps {
		if module.Path == "github.com/aquasecurity/trivy" || module.Path == "github.com/aquasecurity/trivy-checks" {
			parts = append(parts, module.Path[strings.LastIndex(module.Path, "/")+1:]+" "+module.Version)
		}
	}
	return strings.Join(parts, ", ")
}

// ReadRequest reads a request. The error is ErrRequest when it is none.
func ReadRequest(r io.Reader) (*Request, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if len(data) > maxRequest {
		return nil, fmt.Errorf("%w: more than %d MiB", ErrRequest, maxRequest>>20)
	}
	var request Request
	if err := json.Unmarshal(data, &request); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return &request, nil
}

// Scan holds what a request has to all checks that are about it. What cannot be scanned is
// a Failure; the error says that nothing could be.
func Scan(ctx context.Context, request *Request) (*Response, error) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // Trivy logs what it cannot read
	scanner := rego.NewScanner(checks()...)
	if err := scanner.LoadPolicies(files(nil)); err != nil {
		return nil, fmt.Errorf("loading the checks: %w", err)
	}
	response := &Response{Version: Version(), Findings: []Finding{}, Failed: []Failure{}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	var parts collected
	byKind := map[string][]rego.Input{}
	for _, object := range request.Objects {
		input, kind, err := parse(object)
		if err != nil {
			parts.fail(object.ID, err)
			continue
		}
		byKind[kind] = append(byKind[kind], input)
	}
	// Checks of other kinds are left out only when all that are scanned together are of one kind.
	const batch = 8
	for _, inputs := range byKind {
		for some := range slices.Chunk(inputs, batch) {
			group.Go(func() error { return scanObjects(ctx, scanner, some, &parts) })
		}
	}
	if len(request.Files) > 0 {
		group.Go(func() error { return scanFiles(ctx, scanner, request.Files, &parts) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	response.Findings = append(response.Findings, parts.findings...)
	response.Failed = append(response.Failed, parts.failed...)
	slices.SortFunc(response.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Check, b.Check), strings.Compare(a.Message, b.Message))
	})
	response.Findings = slices.Compact(response.Findings)
	slices.SortFunc(response.Failed, func(a, b Failure) int { return strings.Compare(a.Object, b.Object) })
	return response, nil
}

// checks are the options with which Trivy itself scans: its embedded checks and no others.
func checks() []options.ScannerOption {
	return []options.ScannerOption{
		rego.WithEmbeddedPolicies(true), rego.WithEmbeddedLibraries(true), rego.WithIncludeDeprecatedChecks(false),
	}
}

// parse reads an object as Trivy does. A panic of its parser is an error.
func parse(object Object) (input rego.Input, kind string, err error) {
	defer recovered(&err)
	manifest, err := parser.ManifestFromJSON(object.ID, object.Content)
	if err != nil {
		return rego.Input{}, "", err
	}
	content, ok := manifest.ToRego().(map[string]any)
	if !ok {
		return rego.Input{}, "", errors.New("this is no Kubernetes object")
	}
	kind, _ = content["kind"].(string)
	if kind == "" {
		return rego.Input{}, "", errors.New("this object has no kind")
	}
	return rego.Input{Path: object.ID, Contents: content, FS: files(nil)}, kind, nil
}

// scanObjects scans objects of one kind together, and one by one when that fails.
func scanObjects(ctx context.Context, scanner *rego.Scanner, inputs []rego.Input, parts *collected) error {
	found, err := guarded(func() (scan.Results, error) { return scanner.ScanInput(ctx, types.SourceKubernetes, inputs...) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		parts.add(found, false)
		return nil
	}
	for _, input := range inputs {
		found, err := guarded(func() (scan.Results, error) { return scanner.ScanInput(ctx, types.SourceKubernetes, input) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			parts.fail(input.Path, err)
			continue
		}
		parts.add(found, false)
	}
	return nil
}

// scanFiles scans a Terraform tree. Nothing is downloaded for it.
func scanFiles(ctx context.Context, scanner *rego.Scanner, tree []File, parts *collected) error {
	found, err := guarded(func() (scan.Results, error) {
		target, err := fileSystem(tree)
		if err != nil {
			return nil, err
		}
		return terraform.New(append(checks(), rego.WithRegoScanner(scanner), terraform.ScannerWithAllDirectories(true),
			terraform.ScannerWithDownloadsAllowed(false), terraform.ScannerWithSkipCachedModules(true))...).ScanFS(ctx, target, ".")
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		parts.fail("", err)
		return nil
	}
	parts.add(found, true)
	return nil
}

// guarded turns a panic into an error.
func guarded(do func() (scan.Results, error)) (found scan.Results, err error) {
	defer recovered(&err)
	return do()
}

func recovered(err *error) {
	if reason := recover(); reason != nil {
		*err = fmt.Errorf("the scanner cannot read it: %v", reason)
	}
}
