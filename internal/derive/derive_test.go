package derive

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/finding"
	"archipel/internal/fleet"

	"github.com/fluxcd/pkg/envsubst"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const repository = "../.."

// load returns a fleet without errors.
func load(t testing.TB, tree fstest.MapFS) *fleet.Fleet {
	t.Helper()
	f, findings := fleet.Load(tree)
	for _, found := range findings {
		if found.Severity == finding.Error {
			t.Fatalf("%s:%d: %s", found.Position.File, found.Position.Line, found.Message)
		}
	}
	return f
}

// inventories builds the tree of a fleet: facts of all sites, then of each one.
func inventories(shared string, sites map[string]string) fstest.MapFS {
	const dir = "kubernetes/ansible/inventories/"
	tree := fstest.MapFS{}
	add := func(name, content string) { tree[dir+name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644} }
	add("fleet.yml", "all:\n  vars:\n"+indented(shared, "    "))
	for name, facts := range sites {
		network, _, _ := strings.Cut(strings.SplitN(facts, "node_cidr: ", 2)[1], ".0/24")
		add(name+"/hosts.yml", fmt.Sprintf("all:\n  children:\n    servers:\n      hosts:\n        %s-1:\n          ansible_host: %s.11\n", name, network))
		add(name+"/group_vars/all/main.yml", facts)
	}
	return tree
}

func indented(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}

const sharedFacts = `git_url: https://git.example.org/fleet.git
git_branch: main
k3s_version: v1.36.4+k3s1
flux_version: v2.9.5
cilium_version: 1.20.2
metallb_version: 0.16.2
native_routing_cidr: 10.64.0.0/10
interconnect: none
node_interface: eth0
mesh_max_clusters: 511
`

// threeSites has every way in which the mesh address can lie in the ranges.
func threeSites() fstest.MapFS {
	return inventories(sharedFacts, map[string]string{
		"east": `cluster_id: 7
node_cidr: 192.0.2.0/24
pod_cidr: 10.70.0.0/16
service_cidr: 10.170.0.0/16
mesh_api_address: 192.0.2.200
load_balancer_ranges: [192.0.2.200-192.0.2.210, 192.0.2.220-192.0.2.220] # first of a range
`,
		"north": `cluster_id: 8
node_cidr: 198.51.100.0/24
pod_cidr: 10.80.0.0/16
service_cidr: 10.180.0.0/16
mesh_api_address: 198.51.100.133
load_balancer_ranges: [198.51.100.128/28, 198.51.100.240/30] # in the middle of a network
mtu: 1420
`,
		"west": `cluster_id: 511
node_cidr: 203.0.113.0/24
pod_cidr: 10.90.0.0/16
service_cidr: 10.190.0.0/16
mesh_api_address: 203.0.113.210
load_balancer_ranges: [203.0.113.200-203.0.113.209, 203.0.113.210-203.0.113.210, 203.0.113.211-203.0.113.219] # a range of its own
`,
	})
}

// The tree of this repository is the golden file of its own fleet.
func TestSiteOfThisRepository(t *testing.T) {
	f, _ := fleet.Load(os.DirFS(repository))
	var names []string
	for _, s := range f.Sites {
		names = append(names, s.Name)
		file, err := Site(f, s)
		if err != nil {
			t.Fatal(err)
		}
		if want := "kubernetes/flux/clusters/" + s.Name + "/site.yaml"; file.Path != want {
			t.Errorf("path is %s, want %s", file.Path, want)
		}
		committed, err := os.ReadFile(filepath.Join(repository, file.Path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, file.Content) {
			t.Errorf("%s is stale: run archipel site sync\n%s", file.Path, file.Content)
		}
	}
	if !slices.Equal(names, []string{"site-a", "site-b"}) {
		t.Fatalf("sites are %q", names)
	}
}

func TestSiteOfThree(t *testing.T) {
	f := load(t, threeSites())
	var got bytes.Buffer
	for _, s := range f.Sites {
		file, err := Site(f, s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "-- %s --\n%s", file.Path, file.Content)
	}
	golden := "testdata/three-sites.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}

func TestSiteIsDeterministic(t *testing.T) {
	first := map[string]string{}
	for range 100 {
		f := load(t, threeSites())
		for _, s := range f.Sites {
			file, err := Site(f, s)
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := first[s.Name]; ok && want != string(file.Content) {
				t.Fatalf("got\n%s\nand before\n%s", file.Content, want)
			}
			first[s.Name] = string(file.Content)
		}
	}
}

// manifests reads a derived file as Flux does (YAML 1.1), and as YAML 1.2.
func manifests(t *testing.T, file File) []configMap {
	t.Helper()
	var maps []configMap
	for document := range strings.SplitSeq(string(file.Content), "---\n") {
		var old, current struct {
			APIVersion string         `json:"apiVersion" yaml:"apiVersion"`
			Kind       string         `json:"kind" yaml:"kind"`
			Metadata   map[string]any `json:"metadata" yaml:"metadata"`
			Data       map[string]any `json:"data" yaml:"data"`
		}
		if err := sigsyaml.UnmarshalStrict([]byte(document), &old); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(document), &current); err != nil {
			t.Fatal(err)
		}
		if old.APIVersion != "v1" || old.Kind != "ConfigMap" || old.Metadata["namespace"] != "flux-system" {
			t.Errorf("it is a %s %s in %v", old.APIVersion, old.Kind, old.Metadata["namespace"])
		}
		m := configMap{Metadata: metadata{Name: fmt.Sprint(old.Metadata["name"])}, Data: map[string]string{}}
		for key, value := range old.Data {
			text, ok := value.(string)
			if !ok || current.Data[key] != value {
				t.Errorf("%s is %T %v, and %T %v in YAML 1.2: a ConfigMap holds strings", key, value, value, current.Data[key], current.Data[key])
			}
			m.Data[key] = text
		}
		maps = append(maps, m)
	}
	return maps
}

func TestSiteParsesBack(t *testing.T) {
	f := load(t, threeSites())
	for _, s := range f.Sites {
		file, err := Site(f, s)
		if err != nil {
			t.Fatal(err)
		}
		maps := manifests(t, file)
		if len(maps) != 2 || maps[0].Metadata.Name != "site" || maps[1].Metadata.Name != "mesh-peers" {
			t.Fatalf("%s holds %+v", s.Name, maps)
		}
		facts, err := substitutions(s)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range facts {
			if got, ok := maps[0].Data[key]; !ok || got != want {
				t.Errorf("%s: %s is %q, want %q", s.Name, key, got, want)
			}
		}
		if len(maps[0].Data) != len(facts) {
			t.Errorf("%s has %d facts, want %d", s.Name, len(maps[0].Data), len(facts))
		}

		// The peers are Helm values: all other sites, and never the site itself.
		var values struct {
			ClusterMesh struct {
				Config struct {
					Clusters map[string]struct {
						IPs  []string `json:"ips"`
						Port int      `json:"port"`
					} `json:"clusters"`
				} `json:"config"`
			} `json:"clustermesh"`
		}
		if err := sigsyaml.UnmarshalStrict([]byte(maps[1].Data["values.yaml"]), &values); err != nil {
			t.Fatal(err)
		}
		clusters := values.ClusterMesh.Config.Clusters
		if _, itself := clusters[s.Name]; itself || len(clusters) != len(f.Sites)-1 {
			t.Errorf("%s has the peers %v", s.Name, clusters)
		}
		for _, other := range f.Sites {
			if other == s {
				continue
			}
			peer := clusters[other.Name]
			if want := []string{other.Facts.MeshAPIAddress.String()}; !slices.Equal(peer.IPs, want) || peer.Port != 2379 {
				t.Errorf("%s reaches %s at %v", s.Name, other.Name, peer)
			}
		}
	}
}

// A fleet of one site has no peers, and its values must still be a mapping.
func TestSiteAlone(t *testing.T) {
	f := load(t, inventories(sharedFacts, map[string]string{"alone": `cluster_id: 1
node_cidr: 192.0.2.0/24
pod_cidr: 10.70.0.0/16
service_cidr: 10.170.0.0/16
mesh_api_address: 192.0.2.210
load_balancer_ranges: [192.0.2.200-192.0.2.210] # last of a range
`}))
	file, err := Site(f, f.Sites[0])
	if err != nil {
		t.Fatal(err)
	}
	maps := manifests(t, file)
	if got, want := maps[1].Data["values.yaml"], "clustermesh:\n  config:\n    clusters: {}\n"; got != want {
		t.Errorf("got %q", got)
	}
	if got, want := maps[0].Data["lb_ranges"], `["192.0.2.200-192.0.2.209"]`; got != want {
		t.Errorf("lb_ranges is %s", got)
	}
}

// Flux substitutes into YAML whose quotes are gone, so a fact that a manifest
// uses as a whole value must bring its own where it needs them.
func TestTextStaysText(t *testing.T) {
	for _, branch := range []string{
		"main", "feature/mesh", "v1.20", "release-1.20.x", "renovate/cilium-1.x",
		"1", "007", "1.20", "1e3", "0x1f", "0b11", "0o17", "1_000", "_1",
		"true", "False", "yes", "NO", "on", "off", "y", "n", "null", "Null", "2026-11-23", "inf", "nan",
	} {
		t.Run(branch, func(t *testing.T) {
			shared := strings.Replace(sharedFacts, "git_branch: main", fmt.Sprintf("git_branch: %q", branch), 1)
			tree := threeSites()
			tree["kubernetes/ansible/inventories/fleet.yml"].Data = []byte("all:\n  vars:\n" + indented(shared, "    "))
			f := load(t, tree)
			file, err := Site(f, f.Sites[0])
			if err != nil {
				t.Fatal(err)
			}
			data := manifests(t, file)[0].Data
			text, err := envsubst.Eval("value: ${git_branch}\n", func(name string) (string, bool) {
				value, ok := data[name]
				return value, ok
			})
			if err != nil {
				t.Fatal(err)
			}
			var read struct{ Value any }
			if err := sigsyaml.Unmarshal([]byte(text), &read); err != nil || read.Value != branch {
				t.Errorf("%q becomes %T %v (%v)", text, read.Value, read.Value, err)
			}
		})
	}
}

// Plain text stays as it is, so that it can be a part of a longer value too.
func TestScalarQuotesOnlyWhatNeedsIt(t *testing.T) {
	for text, want := range map[string]string{
		"main": "main", "enp1s0": "enp1s0", "v1.20": "v1.20",
		"1.20": `"1.20"`, "yes": `"yes"`, "null": `"null"`, "a: b": `"a: b"`, "#a": `"#a"`, "": `""`,
	} {
		if got := scalar(text); got != want {
			t.Errorf("scalar(%q) is %s, want %s", text, got, want)
		}
	}
}

// Whatever the ranges: no pool holds the mesh address, and nothing else is lost.
func TestPublicRanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }
	for range 2000 {
		// Ranges that do not overlap, as the fleet demands: cut 0..255 at random places.
		cuts := random.Perm(256)[:2*(1+random.IntN(4))]
		slices.Sort(cuts)
		var ranges []fleet.Range
		wanted := map[netip.Addr]bool{}
		for i := 0; i < len(cuts); i += 2 {
			first, last := cuts[i], cuts[i+1]
			if random.IntN(4) == 0 {
				last = first
			}
			ranges = append(ranges, fleet.Range{First: address(first), Last: address(last)})
			for n := first; n <= last; n++ {
				wanted[address(n)] = true
			}
		}
		in := ranges[random.IntN(len(ranges))]
		mesh := [...]netip.Addr{
			in.First, in.Last, netip.MustParseAddr("198.51.100.1"), address(random.IntN(256)),
		}[random.IntN(4)]
		delete(wanted, mesh)

		got := map[netip.Addr]bool{}
		for _, text := range publicRanges(ranges, mesh) {
			first, last, ok := strings.Cut(text, "-")
			from, err1 := netip.ParseAddr(first)
			to, err2 := netip.ParseAddr(last)
			if !ok || err1 != nil || err2 != nil || to.Less(from) {
				t.Fatalf("ranges %v without %v: %q is no range", ranges, mesh, text)
			}
			for a := from; a.Compare(to) <= 0; a = a.Next() {
				if got[a] {
					t.Fatalf("ranges %v without %v: %v is in two pools", ranges, mesh, a)
				}
				got[a] = true
			}
		}
		if got[mesh] || len(got) != len(wanted) {
			t.Fatalf("ranges %v without %v: %d addresses, want %d", ranges, mesh, len(got), len(wanted))
		}
		for a := range wanted {
			if !got[a] {
				t.Fatalf("ranges %v without %v: %v is lost", ranges, mesh, a)
			}
		}
	}
}

// The ends of the address space must not wrap around.
func TestPublicRangesAtTheEnds(t *testing.T) {
	for _, test := range []struct{ first, last, mesh, want string }{
		{"255.255.255.250", "255.255.255.255", "255.255.255.255", `["255.255.255.250-255.255.255.254"]`},
		{"0.0.0.0", "0.0.0.5", "0.0.0.0", `["0.0.0.1-0.0.0.5"]`},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1", `[]`},
		{"192.0.2.1", "192.0.2.3", "192.0.2.2", `["192.0.2.1-192.0.2.1","192.0.2.3-192.0.2.3"]`},
	} {
		r := fleet.Range{First: netip.MustParseAddr(test.first), Last: netip.MustParseAddr(test.last)}
		got, err := json.Marshal(publicRanges([]fleet.Range{r}, netip.MustParseAddr(test.mesh)))
		if err != nil || string(got) != test.want {
			t.Errorf("%v without %s: got %s, want %s (%v)", r, test.mesh, got, test.want, err)
		}
	}
}
