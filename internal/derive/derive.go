// Package derive computes the files under kubernetes/flux that follow from the
// inventories, so that nobody states a fact twice.
package derive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"strconv"

	"archipel/internal/fleet"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml" // with which Flux reads what it has substituted
)

// Clusters is the folder that holds one folder per site for Flux.
const Clusters = "kubernetes/flux/clusters"

// meshPort is where the ClusterMesh API server listens (cilium, port of its etcd).
const meshPort = 2379

const header = `# Derived from kubernetes/ansible/inventories by ` + "`archipel site sync`" + `: do not edit.
`

// File is one derived file.
type File struct {
	Path    string // slash-separated, relative to the repository's root
	Content []byte
}

// Site returns the derived file of one site: the ConfigMap of facts that Flux
// substitutes, and the Cilium values that name the other sites of the mesh.
func Site(f *fleet.Fleet, s *fleet.Site) (File, error) {
	peers, err := meshPeers(f, s)
	if err != nil {
		return File{}, err
	}
	facts, err := substitutions(s)
	if err != nil {
		return File{}, err
	}
	var out bytes.Buffer
	out.WriteString(header)
	for i, manifest := range []configMap{
		newConfigMap("site", facts),
		newConfigMap("mesh-peers", map[string]string{"values.yaml": peers}),
	} {
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := encode(&out, manifest); err != nil {
			return File{}, fmt.Errorf("deriving ConfigMap %s of %s: %w", manifest.Metadata.Name, s.Name, err)
		}
	}
	return File{Path: path.Join(Clusters, s.Name, "site.yaml"), Content: out.Bytes()}, nil
}

// substitutions are what ${...} in kubernetes/flux stands for. Flux writes them
// into YAML, so a list is written as JSON.
func substitutions(s *fleet.Site) (map[string]string, error) {
	facts := s.Facts
	ranges, err := json.Marshal(publicRanges(facts.LoadBalancerRanges, facts.MeshAPIAddress))
	if err != nil {
		return nil, fmt.Errorf("deriving the load balancer ranges of %s: %w", s.Name, err)
	}
	return map[string]string{
		"site_name":           s.Name,
		"cluster_id":          strconv.Itoa(facts.ClusterID),
		"git_url":             facts.GitURL,
		"git_branch":          scalar(facts.GitBranch),
		"flux_version":        facts.FluxVersion,
		"cilium_version":      facts.CiliumVersion,
		"metallb_version":     facts.MetalLBVersion,
		"native_routing_cidr": facts.NativeRoutingCIDR.String(),
		"node_interface":      scalar(facts.NodeInterface),
		"mtu":                 strconv.Itoa(facts.MTU),
		"mesh_max_clusters":   strconv.Itoa(facts.MeshMaxClusters),
		"mesh_api_address":    facts.MeshAPIAddress.String(),
		"lb_ranges":           string(ranges),
	}, nil
}

// scalar returns what stands for text where a whole YAML value is substituted:
// a branch may be called 1.20, and must not become a number. Quotes in the
// manifests do not help, because Flux substitutes after kustomize has removed them.
func scalar(text string) string {
	var read any
	if err := sigsyaml.Unmarshal([]byte(text), &read); err == nil && read == text {
		return text
	}
	return strconv.Quote(text)
}

// publicRanges leaves the mesh address out of the ranges: it has a pool of its
// own, and MetalLB refuses pools that overlap.
func publicRanges(ranges []fleet.Range, mesh netip.Addr) []string {
	public := []string{}
	add := func(first, last netip.Addr) {
		if first.Compare(last) <= 0 {
			public = append(public, first.String()+"-"+last.String())
		}
	}
	for _, r := range ranges {
		if !r.Contains(mesh) {
			add(r.First, r.Last)
			continue
		}
		if mesh != r.First {
			add(r.First, mesh.Prev())
		}
		if mesh != r.Last {
			add(mesh.Next(), r.Last)
		}
	}
	return public
}

// meshPeers returns Cilium's values for the mesh as s sees it.
func meshPeers(f *fleet.Fleet, s *fleet.Site) (string, error) {
	type peer struct {
		IPs  []string `yaml:"ips"`
		Port int      `yaml:"port"`
	}
	clusters := map[string]peer{}
	for _, other := range f.Sites {
		if other.Name != s.Name {
			clusters[other.Name] = peer{IPs: []string{other.Facts.MeshAPIAddress.String()}, Port: meshPort}
		}
	}
	var out bytes.Buffer
	values := map[string]any{"clustermesh": map[string]any{"config": map[string]any{"clusters": clusters}}}
	if err := encode(&out, values); err != nil {
		return "", fmt.Errorf("deriving the mesh peers of %s: %w", s.Name, err)
	}
	return out.String(), nil
}

type configMap struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   metadata          `yaml:"metadata"`
	Data       map[string]string `yaml:"data"`
}

type metadata struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace"`
	Labels    map[string]string `yaml:"labels"`
}

func newConfigMap(name string, data map[string]string) configMap {
	return configMap{
		APIVersion: "v1",
		Kind:       "ConfigMap",
		Metadata: metadata{
			Name:      name,
			Namespace: "flux-system",
			// Flux looks at what uses this ConfigMap as soon as it changes.
			Labels: map[string]string{"reconcile.fluxcd.io/watch": "Enabled"},
		},
		Data: data,
	}
}

func encode(out *bytes.Buffer, value any) error {
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	return encoder.Close()
}
