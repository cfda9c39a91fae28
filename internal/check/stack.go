package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"archipel/internal/finding"
	"archipel/internal/render"
)

// API groups of what the stack's rules look at.
const (
	kustomizeAPI = "kustomize.toolkit.fluxcd.io"
	helmAPI      = "helm.toolkit.fluxcd.io"
	sourceAPI    = "source.toolkit.fluxcd.io"
	metallbAPI   = "metallb.io"
)

// problem makes a finding; the engine adds rule, severity and sites.
func problem(at finding.Position, fix, format string, args ...any) finding.Finding {
	return finding.Finding{Position: at, Message: fmt.Sprintf(format, args...), Fix: fix}
}

// valueAt returns what stands at a path of maps and lists; an element of a list is named
// by its index.
func valueAt(value any, path ...string) any {
	for _, key := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// textAt returns the text at a path, or "".
func textAt(value any, path ...string) string {
	text, _ := valueAt(value, path...).(string)
	return text
}

// listAt returns the list at a path, or nil.
func listAt(value any, path ...string) []any {
	list, _ := valueAt(value, path...).([]any)
	return list
}

// mapAt returns the mapping at a path, or nil.
func mapAt(value any, path ...string) map[string]any {
	m, _ := valueAt(value, path...).(map[string]any)
	return m
}

// textsAt returns the texts of the list at a path.
func textsAt(value any, path ...string) []string {
	var texts []string
	for _, v := range listAt(value, path...) {
		if text, ok := v.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// isTrue says whether true stands at a path.
func isTrue(value any, path ...string) bool { return valueAt(value, path...) == true }

// intAt returns the whole number at a path.
func intAt(value any, path ...string) (int64, bool) {
	switch v := valueAt(value, path...).(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}

// durationAt returns the duration at a path, written as Flux writes it: 1h30m.
func durationAt(value any, path ...string) (time.Duration, bool) {
	d, err := time.ParseDuration(textAt(value, path...))
	return d, err == nil
}

// group returns the API group of an object: "" for the core group.
func group(o *render.Object) string {
	before, _, ok := strings.Cut(o.GetAPIVersion(), "/")
	if !ok {
		return ""
	}
	return before
}

// kinds returns a site's objects of some kinds of one API group, all versions.
func (s *Site) kinds(apiGroup string, kinds ...string) []*render.Object {
	var found []*render.Object
	for _, o := range s.Render.Objects {
		if group(o) == apiGroup && slices.Contains(kinds, o.GetKind()) {
			found = append(found, o)
		}
	}
	return found
}

// named says which object is meant: "Deployment whoami/whoami".
func named(o *render.Object) string {
	return o.GetKind() + " " + reference(o.GetNamespace(), o.GetName())
}

// reference joins namespace and name as Flux prints them.
func reference(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// owner returns the Flux Kustomization that applies an object, or that applies the
// HelmRelease which installs it; nil when nothing says so.
func owner(o *render.Object) *render.Kustomization {
	if r := o.Origin.Release; r != nil && r.Object != nil {
		return r.Object.Origin.Kustomization
	}
	return o.Origin.Kustomization
}

// overlay is an example of one file.
func overlay(file, content string) string {
	return "-- " + file + " --\n" + strings.TrimPrefix(content, "\n")
}

// inWhoami is an example that adds one manifest to the app whoami.
func inWhoami(manifest string) string {
	return overlay("kubernetes/flux/apps/whoami/app/kustomization.yaml", `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - release.yaml
  - example.yaml
`) + overlay("kubernetes/flux/apps/whoami/app/example.yaml", manifest)
}

// whoamiWith is an example that gives the Flux Kustomization of the app whoami another spec.
func whoamiWith(spec string) string {
	return overlay("kubernetes/flux/apps/whoami/ks.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: whoami
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/whoami/app
`+indent(spec, 2))
}

// whoamiRelease is an example that gives the HelmRelease of the app whoami another spec.
func whoamiRelease(spec string) string {
	return overlay("kubernetes/flux/apps/whoami/app/release.yaml", `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: whoami
  namespace: flux-system
spec:
`+indent(spec, 2))
}

// indent moves lines to the right; a first empty line is dropped.
func indent(text string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", by))
		}
		b.WriteString(line)
	}
	return b.String()
}
