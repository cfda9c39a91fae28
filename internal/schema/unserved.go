package schema

import (
	"fmt"
	"slices"
	"strings"

	"archipel/internal/fleet"
)

// gone are the kinds that no known minor has any more, and what took their place.
func gone(kind string) (instead string, ok bool) {
	instead, ok = map[string]string{
		"PodSecurityPolicy":  "use the labels pod-security.kubernetes.io/enforce of the namespace",
		"PodPreset":          "set the fields in the pod's template",
		"ThirdPartyResource": "use a CustomResourceDefinition",
	}[kind]
	return instead, ok
}

// unserved says why the API server does not serve a kind in a version, and what to write
// instead. The definition is that of the kind's group, if there is one.
func (s *Set) unserved(d *definition, apiVersion, kind string) Problem {
	group := groupOf(apiVersion)
	if d != nil {
		served := d.served()
		fix := ""
		if len(served) > 0 {
			fix = "use " + group + "/" + served[0]
		}
		return Problem{
			Kind: UnservedVersion, Path: []string{"apiVersion"}, Fix: fix,
			Message: fmt.Sprintf("the definition of %s does not serve version %s", kind, versionOf(apiVersion)),
		}
	}
	removed := func(fix string) Problem {
		return Problem{
			Kind: RemovedAPI, Path: []string{"apiVersion"}, Fix: fix,
			Message: fmt.Sprintf("Kubernetes %s has no %s of %s any more", s.base.minor, kind, apiVersion),
		}
	}
	if instead, ok := gone(kind); ok {
		return removed(instead)
	}
	if known := s.base.versions(kind, group); len(known) > 0 {
		return s.otherVersion(apiVersion, kind, known[0], removed)
	}
	if other := s.base.anyGroup(kind); other != "" && (group == "extensions" || s.base.groups()[group]) {
		if group == "extensions" {
			return removed("use " + other)
		}
		return Problem{
			Kind: UnknownKind, Path: []string{"apiVersion"}, Fix: "use " + other,
			Message: fmt.Sprintf("there is no %s of %s", kind, apiVersion),
		}
	}
	if p, ok := s.otherMinor(apiVersion, kind, removed); ok {
		return p
	}
	return s.unknown(apiVersion, kind)
}

// otherVersion words that a group has a kind, but in another version.
func (s *Set) otherVersion(apiVersion, kind, known string, removed func(string) Problem) Problem {
	for _, minor := range Minors() {
		if minorNumber(minor) <= s.base.number {
			continue
		}
		if _, ok := s.store.builtin(minor).kinds[kindKey{apiVersion, kind}]; ok {
			return Problem{
				Kind: UnknownKind, Path: []string{"apiVersion"}, Fix: "use " + known,
				Message: fmt.Sprintf("%s of %s comes with Kubernetes %s, this is %s", kind, apiVersion, minor, s.base.minor),
			}
		}
	}
	if unstable(apiVersion) {
		return removed("use " + known)
	}
	return Problem{
		Kind: UnknownKind, Path: []string{"apiVersion"}, Fix: "use " + known,
		Message: fmt.Sprintf("there is no %s of %s", kind, apiVersion),
	}
}

// otherMinor words that another minor has a kind that this one has in no version.
func (s *Set) otherMinor(apiVersion, kind string, removed func(string) Problem) (Problem, bool) {
	if group := groupOf(apiVersion); strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io") {
		return Problem{}, false // no group of Kubernetes: reading its minors is not worth it
	}
	for _, minor := range Minors() {
		if minor == s.base.minor || len(s.store.builtin(minor).versions(kind, groupOf(apiVersion))) == 0 {
			continue
		}
		if minorNumber(minor) < s.base.number {
			return removed(""), true
		}
		return Problem{
			Kind: UnknownKind, Path: []string{"kind"},
			Message: fmt.Sprintf("%s of %s comes with Kubernetes %s, this is %s", kind, apiVersion, minor, s.base.minor),
		}, true
	}
	return Problem{}, false
}

// unknown words that nothing is known of a kind: of a known group, or of a group that a
// definition would have to bring.
func (s *Set) unknown(apiVersion, kind string) Problem {
	group := groupOf(apiVersion)
	var kinds []string
	for key := range s.base.kinds {
		if groupOf(key.apiVersion) == group {
			kinds = append(kinds, key.kind)
		}
	}
	for _, d := range s.definitions {
		if d.group == group {
			kinds = append(kinds, d.kind)
		}
	}
	slices.Sort(kinds)
	p := Problem{Kind: UnknownKind, Path: []string{"kind"}, Message: fmt.Sprintf("there is no kind %s of %s", quoted(kind), quoted(apiVersion))}
	if len(kinds) > 0 {
		if near, ok := fleet.Nearest(kind, kinds); ok {
			p.Fix = "write " + near
		}
		return p
	}
	var groups []string
	for group := range s.base.groups() {
		groups = append(groups, group)
	}
	slices.Sort(groups)
	near, ok := fleet.Nearest(group, groups)
	switch {
	case ok:
		p.Path, p.Fix = []string{"apiVersion"}, "write "+near+"/"+versionOf(apiVersion)
	case strings.Contains(group, "."):
		p.Kind = DefinitionMissing
		p.Message = fmt.Sprintf("no definition of kind %s of %s is known here", quoted(kind), quoted(apiVersion))
	default:
		p.Path = []string{"apiVersion"}
		if other := s.base.anyGroup(kind); other != "" {
			p.Fix = "use " + other
		}
	}
	return p
}

// versions returns the versions of a kind in a group, stable ones first.
func (b *builtin) versions(kind, group string) []string {
	var all []string
	for key := range b.kinds {
		if key.kind == kind && groupOf(key.apiVersion) == group {
			all = append(all, key.apiVersion)
		}
	}
	slices.SortFunc(all, stableFirst)
	return all
}

// anyGroup returns a version of a kind whatever its group, "" for none.
func (b *builtin) anyGroup(kind string) string {
	var all []string
	for key := range b.kinds {
		if key.kind == kind && key.apiVersion != "events.k8s.io/v1" { // v1 has them too
			all = append(all, key.apiVersion)
		}
	}
	slices.SortFunc(all, stableFirst)
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

func (b *builtin) groups() map[string]bool {
	groups := map[string]bool{}
	for key := range b.kinds {
		groups[groupOf(key.apiVersion)] = true
	}
	return groups
}

// stableFirst orders versions: v1 before v1beta1, and autoscaling/v2 before v1.
func stableFirst(a, b string) int {
	if x, y := unstable(a), unstable(b); x != y {
		if x {
			return 1
		}
		return -1
	}
	return strings.Compare(b, a)
}
