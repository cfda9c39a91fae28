package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/fleet"
)

// usual returns the value that most sites have; of several the one that the first site has.
func usual(values map[string]string) (value, site string) {
	count := map[string]int{}
	for _, v := range values {
		count[v]++
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if v := values[name]; site == "" || count[v] > count[value] {
			value, site = v, name
		}
	}
	return value, site
}

// disagree reports the sites where a fact is not what it is at most sites.
func (f *Fleet) disagree(fact string, of func(*fleet.Site) string, fix, why string) []finding.Finding {
	values := map[string]string{}
	for _, site := range f.Fleet.Sites {
		if v := of(site); v != "" {
			values[site.Name] = v
		}
	}
	most, where := usual(values)
	for _, site := range f.Fleet.Sites {
		if v, ok := values[site.Name]; ok && site.Position(fact).File == inventories+"/fleet.yml" {
			most, where = v, site.Name // what is stated for all beats a majority of exceptions
			break
		}
	}
	var findings []finding.Finding
	for _, site := range f.Fleet.Sites {
		if v, ok := values[site.Name]; ok && v != most {
			one := problem(site.Position(fact), fix, "%s is %s here and %s at %s, %s", fact, v, most, where, why)
			one.Sites = []string{where, site.Name}
			findings = append(findings, one)
		}
	}
	return findings
}

// minor returns the second number of a version such as v1.36.4+k3s1, and the first two as text.
func minor(version string) (number int, of string, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, "", false
	}
	number, err := strconv.Atoi(parts[1])
	return number, parts[0] + "." + parts[1], err == nil
}

// apart reports the sites whose version is more than most minors below the newest of the fleet.
func (f *Fleet) apart(fact string, most int, of func(*fleet.Site) string) []finding.Finding {
	var newest *fleet.Site
	last := -1
	for _, site := range f.Fleet.Sites {
		if n, _, ok := minor(of(site)); ok && n > last {
			newest, last = site, n
		}
	}
	var findings []finding.Finding
	for _, site := range f.Fleet.Sites {
		if n, _, ok := minor(of(site)); ok && last-n > most {
			one := problem(site.Position(fact), fmt.Sprintf("bring the sites within %d minor versions of each other", most),
				"%s is %s here and %s at %s: more than %d minor versions apart", fact, of(site), of(newest), newest.Name, most)
			one.Sites = []string{newest.Name, site.Name}
			findings = append(findings, one)
		}
	}
	return findings
}

// minors is a run of minor versions of Kubernetes, both ends included.
type minors struct{ first, last int }

// newest stands for a run that has no known end.
const newest = 1 << 10

// supported reports the sites whose Kubernetes the given version of a program does not
// support. known holds its minors; nothing is said about others.
func (f *Fleet) supported(fact, program string, of func(*fleet.Site) string, known map[string]minors) []finding.Finding {
	var findings []finding.Finding
	for _, site := range f.Sites {
		kubernetes, _, ok := minor(site.Facts.K3sVersion)
		_, version, ok2 := minor(of(site))
		versions, listed := known[version]
		if !ok || !ok2 || listed && versions.first <= kubernetes && kubernetes <= versions.last {
			continue
		}
		if !listed {
			f.Skip("support-unknown", "archipel does not know which Kubernetes this release of Flux or Cilium supports: look into its release notes, or update archipel")
			continue
		}
		wanted := fmt.Sprintf("1.%d to 1.%d", versions.first, versions.last)
		if versions.last == newest {
			wanted = fmt.Sprintf("1.%d or newer", versions.first)
		}
		one := problem(site.Position(fact), "choose versions that go together", "%s %s wants Kubernetes %s, but k3s_version is %s", program, of(site), wanted, site.Facts.K3sVersion)
		one.Sites = []string{site.Name}
		findings = append(findings, one)
	}
	return findings
}
