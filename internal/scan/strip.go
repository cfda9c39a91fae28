package scan

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"archipel/internal/render"
)

// stripper takes out of objects what no check reads and what differs from site to site, so
// that an object of many sites is scanned once.
type stripper struct {
	sites     *strings.Replacer
	addresses *regexp.Regexp
	number    *regexp.Regexp
}

func newStripper(sites []string) *stripper {
	// Longer names first: one may begin with another.
	sites = slices.Clone(sites)
	slices.SortFunc(sites, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, site := range sites {
		pairs = append(pairs, site, "site")
	}
	return &stripper{
		sites:     strings.NewReplacer(pairs...),
		addresses: regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?\b`),
		number:    regexp.MustCompile(`^\d{1,3}$`),
	}
}

// read are the kinds that Trivy's checks read, by API group.
func read(group, kind string) bool {
	return slices.Contains(map[string][]string{
		"":                          {"Pod", "ReplicationController", "Service", "ServiceAccount", "ConfigMap", "Namespace", "ResourceQuota", "LimitRange"},
		"apps":                      {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"},
		"batch":                     {"Job", "CronJob"},
		"rbac.authorization.k8s.io": {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"},
		"networking.k8s.io":         {"NetworkPolicy", "Ingress"},
	}[group], kind)
}

// object returns what is sent of an object, and false when nothing is: no check reads its
// kind, or it holds what was encrypted in Git.
func (s *stripper) object(o *render.Object) ([]byte, bool) {
	group, _, grouped := strings.Cut(o.GetAPIVersion(), "/")
	if !grouped {
		group = ""
	}
	if o.Origin.Decrypted || o.Origin.Opaque || !read(group, o.GetKind()) {
		return nil, false
	}
	content := map[string]any{}
	for key, value := range o.Object {
		switch {
		case key == "status":
		case o.GetKind() == "ConfigMap" && (key == "data" || key == "binaryData"):
			content[key] = s.text(value, true)
		default:
			content[key] = s.text(value, false)
		}
	}
	data, err := json.Marshal(content)
	return data, err == nil
}

// text replaces in all text of a value what differs from site to site. Names of sites and
// addresses are given others; numbers are, where they are settings in text.
func (s *stripper) text(value any, numbers bool) any {
	switch v := value.(type) {
	case map[string]any:
		made := make(map[string]any, len(v))
		for key, inner := range v {
			if strings.Contains(key, "checksum") { // changes with every setting, and says nothing
				continue
			}
			made[key] = s.text(inner, numbers)
		}
		return made
	case []any:
		made := make([]any, len(v))
		for i, inner := range v {
			made[i] = s.text(inner, numbers)
		}
		return made
	case string:
		if numbers && s.number.MatchString(v) {
			return "0"
		}
		return s.addresses.ReplaceAllString(s.sites.Replace(v), "192.0.2.0")
	}
	return value
}
