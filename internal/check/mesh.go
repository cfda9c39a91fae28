package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"archipel/internal/finding"
)

// meshValues compares values of Cilium between sites.
type meshValues struct {
	paths []string // with dots
	fix   string
	seen  gathered[map[string]meshValue]
}

type meshValue struct {
	text string
	at   finding.Position
}

// site notes the values of one site. Values that a Secret was merged into are not compared:
// they would show in the finding.
func (m *meshValues) site(s *Site) []finding.Finding {
	return ciliumSite(func(c *ciliumCheck) {
		if c.release.SecretValues {
			s.Skip("values-secret", "values of Cilium that a Secret gives are not compared between sites: give the values that sites must share in a ConfigMap or in spec.values")
			return
		}
		values := map[string]meshValue{}
		for _, path := range m.paths {
			at := append([]string{"spec", "values"}, strings.Split(path, ".")...)
			values[path] = meshValue{c.shown(path), s.At(c.release.Object, at...)}
		}
		m.seen.put(s.Site.Name, values)
	})(s)
}

// compare reports the sites where a value is not what it is at most sites.
func (m *meshValues) compare(*Fleet) []finding.Finding {
	var findings []finding.Finding
	reported := map[string]bool{} // sites, each with the first value that differs
	for _, path := range m.paths {
		texts := map[string]string{}
		for site, values := range m.seen.all() {
			texts[site] = values[path].text
		}
		most, where := usual(texts)
		for site, values := range m.seen.all() {
			if v := values[path]; v.text != most && !reported[site] {
				reported[site] = true
				one := problem(v.at, m.fix, "Cilium's %s is %s at %s and %s at %s", path, v.text, site, most, where)
				one.Sites = []string{site, where}
				findings = append(findings, one)
			}
		}
	}
	return findings
}

// meshPeers compares which sites look for which.
type meshPeers struct{ seen gathered[meshPeersOf] }

type meshPeersOf struct {
	names []string
	at    finding.Position
}

func (m *meshPeers) site(s *Site) []finding.Finding {
	return ciliumSite(func(c *ciliumCheck) {
		if !isTrue(c.values, "clustermesh", "config", "enabled") && !isTrue(c.values, "clustermesh", "useAPIServer") {
			return
		}
		peers := meshPeersOf{at: s.At(c.release.Object, "spec", "values", "clustermesh", "config", "clusters")}
		switch clusters := valueAt(c.values, "clustermesh", "config", "clusters").(type) {
		case map[string]any:
			peers.names = slices.Sorted(maps.Keys(clusters))
		case []any: // the older form
			for _, one := range clusters {
				peers.names = append(peers.names, textAt(one, "name"))
			}
		}
		m.seen.put(s.Site.Name, peers)
	})(s)
}

func (m *meshPeers) compare(f *Fleet) []finding.Finding {
	var findings []finding.Finding
	all := maps.Collect(m.seen.all())
	for site, peers := range m.seen.all() {
		for _, peer := range peers.names {
			other, seen := all[peer]
			_, known := f.Fleet.Site(peer)
			message := ""
			switch {
			case peer == site || seen && slices.Contains(other.names, site):
			case !known:
				message = fmt.Sprintf("%s looks for %s in the mesh, which is no site of the fleet", site, peer)
			case seen:
				message = fmt.Sprintf("%s looks for %s in the mesh, which does not look for %s", site, peer, site)
			}
			if message != "" {
				one := problem(peers.at, "name both sites at each other; archipel site sync does", "%s", message)
				one.Sites = []string{site}
				findings = append(findings, one)
			}
		}
	}
	return findings
}
