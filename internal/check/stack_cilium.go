package check

import (
	"fmt"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

// ciliumCheck looks at the values of one HelmRelease of Cilium.
type ciliumCheck struct {
	*Site
	release *render.Release
	values  map[string]any
	found   []finding.Finding
}

// ciliumSite makes a rule's function of a check of Cilium's values. What the chart's schema
// says of them is not its business.
func ciliumSite(check func(*ciliumCheck)) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, r := range s.networkReleases() {
			if len(r.Values) == 0 && len(mapAt(r.Object.Object, "spec", "values")) > 0 {
				continue // they could not be read, which has its own finding
			}
			c := &ciliumCheck{Site: s, release: r, values: r.Values}
			check(c)
			found = append(found, c.found...)
		}
		return found
	}
}

// is says whether a value, given by its path with dots, is want; nil means that it is not set.
func (c *ciliumCheck) is(path string, want any) bool {
	return valueAt(c.values, strings.Split(path, ".")...) == want
}

// shown returns a value for a message, unless a Secret may have given it.
func (c *ciliumCheck) shown(path string) string {
	value := valueAt(c.values, strings.Split(path, ".")...)
	switch value.(type) {
	case nil:
		return "not set"
	case string, bool, int, int64, float64:
		if !c.release.SecretValues {
			return fmt.Sprint(value)
		}
	}
	return "something else"
}

// report adds a finding at a value.
func (c *ciliumCheck) report(path, fix, format string, args ...any) {
	at := c.At(c.release.Object, append([]string{"spec", "values"}, strings.Split(path, ".")...)...)
	c.found = append(c.found, problem(at, fix, format, args...))
}

// ciliumWith is an example: the HelmRelease of Cilium with these values and no others.
func ciliumWith(values string) string {
	return ciliumRelease("releaseName: cilium\ntargetNamespace: kube-system\nstorageNamespace: kube-system\nvalues:\n" + indent(values, 2))
}
