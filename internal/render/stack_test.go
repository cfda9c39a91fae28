package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"archipel/internal/fleet"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The tests of this file hold the stack of this repository to what keeps a
// site's network alive.
const repository = "../.."

// sites returns the fleet of this repository.
func sites(t *testing.T) *fleet.Fleet {
	t.Helper()
	f, findings := fleet.Load(os.DirFS(repository))
	for _, found := range findings {
		t.Errorf("%s:%d: %s", found.Position.File, found.Position.Line, found.Message)
	}
	if len(f.Sites) < 2 {
		t.Fatalf("%d sites", len(f.Sites))
	}
	return f
}

func root(t *testing.T, site string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Root(os.DirFS(repository), site)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// at returns a field of an object, or nil.
func at(object map[string]any, fields ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(object, fields...)
	return value
}

// check compares fields, each named by its path with / between the keys.
func check(t *testing.T, object map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if got := at(object, strings.Split(key, "/")...); !reflect.DeepEqual(got, value) {
			t.Errorf("%s is %#v, want %#v", key, got, value)
		}
	}
}

func text(t *testing.T, object any) string {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStackObjects(t *testing.T) {
	var got bytes.Buffer
	for _, s := range sites(t).Sites {
		fmt.Fprintf(&got, "%s\n", s.Name)
		for _, object := range root(t, s.Name) {
			fmt.Fprintf(&got, "  %s\n", path.Join(object.GetKind(), object.GetNamespace(), object.GetName()))
		}
	}
	const golden = "testdata/stack.golden"
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

// appFolders are the folders that the Flux Kustomizations of apps build.
func appFolders(t *testing.T) []string {
	t.Helper()
	var folders []string
	for _, kind := range []string{"app", "config"} {
		found, err := fs.Glob(os.DirFS(repository), stack+"/apps/*/"+kind)
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, found...)
	}
	if len(folders) < 4 {
		t.Fatalf("found %q", folders)
	}
	return folders
}

func TestStackIsSubstituted(t *testing.T) {
	for _, s := range sites(t).Sites {
		objects := root(t, s.Name)
		for _, name := range appFolders(t) {
			objects = append(objects, folder(t, os.DirFS(repository), s.Name, name)...)
		}
		for _, object := range objects {
			if strings.Contains(text(t, object.Object), "${") {
				t.Errorf("%s: %s %s has a variable left", s.Name, object.GetKind(), object.GetName())
			}
		}
	}
}

// Apps never name a site: what differs comes from the facts.
func TestStackAppsNameNoSite(t *testing.T) {
	f := sites(t)
	err := fs.WalkDir(os.DirFS(repository), stack+"/apps", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(os.DirFS(repository), name)
		for _, s := range f.Sites {
			if bytes.Contains(data, []byte(s.Name)) {
				t.Errorf("%s names %s", name, s.Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// kustomizations returns the Flux Kustomizations of a site by name.
func kustomizations(t *testing.T, site string) map[string]map[string]any {
	t.Helper()
	found := map[string]map[string]any{}
	for _, object := range root(t, site) {
		if object.GetKind() == "Kustomization" {
			if object.GetNamespace() != "flux-system" {
				t.Errorf("Kustomization %s is in %q", object.GetName(), object.GetNamespace())
			}
			found[object.GetName()] = object.Object
		}
	}
	return found
}

func TestStackKustomizations(t *testing.T) {
	const fluxsOwn = "flux" // from the artefact of Flux's release, with nothing of a site in it
	for _, s := range sites(t).Sites {
		all := kustomizations(t, s.Name)
		for name, object := range all {
			t.Run(s.Name+"/"+name, func(t *testing.T) {
				for _, field := range []string{"interval", "retryInterval", "timeout", "prune", "path"} {
					if at(object, "spec", field) == nil {
						t.Errorf("spec.%s is not set", field)
					}
				}
				if name == fluxsOwn {
					return
				}
				check(t, object, map[string]any{
					"spec/sourceRef":                map[string]any{"kind": "GitRepository", "name": "flux-system"},
					"spec/decryption":               map[string]any{"provider": "sops", "secretRef": map[string]any{"name": "sops-age"}},
					"spec/postBuild/substituteFrom": []any{map[string]any{"kind": "ConfigMap", "name": "site"}},
				})
				folder, _ := at(object, "spec", "path").(string)
				if info, err := fs.Stat(os.DirFS(repository), path.Clean(folder)); err != nil || !info.IsDir() {
					t.Errorf("spec.path %s: %v", folder, err)
				}
				waits, _ := at(object, "spec", "dependsOn").([]any)
				for _, w := range waits {
					dependency, _ := at(w.(map[string]any), "name").(string)
					if all[dependency] == nil {
						t.Errorf("it waits for %q, which is not there", dependency)
					}
					if at(all[dependency], "spec", "wait") != true {
						t.Errorf("it waits for %q, which is Ready before its objects are", dependency)
					}
				}
			})
		}
		check(t, all["flux-system"], map[string]any{
			"spec/path": "./kubernetes/flux/clusters/" + s.Name, "spec/deletionPolicy": "Orphan",
		})
		// The mesh CA and Flux's own key stay, whatever happens to the files in Git.
		check(t, all["secrets"], map[string]any{
			"spec/path":  "./kubernetes/flux/clusters/" + s.Name + "/secrets",
			"spec/prune": false, "spec/deletionPolicy": "Orphan",
		})
		check(t, all["cilium"], map[string]any{
			"spec/prune": false, "spec/deletionPolicy": "Orphan", "spec/timeout": "25m", "spec/wait": true,
			"spec/dependsOn": []any{map[string]any{"name": "secrets"}},
		})
		// CRDs first, then the objects that need them.
		check(t, all["metallb"], map[string]any{"spec/dependsOn": []any{map[string]any{"name": "cilium"}}})
		check(t, all["metallb-config"], map[string]any{"spec/dependsOn": []any{map[string]any{"name": "metallb"}}})
	}
}

// A dependency cycle would leave a site waiting for ever.
func TestStackHasNoCycle(t *testing.T) {
	all := kustomizations(t, sites(t).Sites[0].Name)
	var visit func(name string, above []string)
	visit = func(name string, above []string) {
		if slices.Contains(above, name) {
			t.Fatalf("cycle %q", append(above, name))
		}
		waits, _ := at(all[name], "spec", "dependsOn").([]any)
		for _, w := range waits {
			visit(w.(map[string]any)["name"].(string), append(slices.Clone(above), name))
		}
	}
	for name := range all {
		visit(name, nil)
	}
}

func TestStackFluxKeepsItsDefinitions(t *testing.T) {
	s := sites(t).Sites[0]
	flux := kustomizations(t, s.Name)["flux"]
	check(t, flux, map[string]any{
		"spec/deletionPolicy": "Orphan",
		"spec/sourceRef":      map[string]any{"kind": "OCIRepository", "name": "flux-manifests"},
	})
	keeps, cancels := false, false
	patches, _ := at(flux, "spec", "patches").([]any)
	for _, p := range patches {
		patch, _ := at(p.(map[string]any), "patch").(string)
		kind, _ := at(p.(map[string]any), "target", "kind").(string)
		name, _ := at(p.(map[string]any), "target", "name").(string)
		if strings.Contains(patch, "kustomize.toolkit.fluxcd.io/prune: disabled") &&
			kind == "(CustomResourceDefinition|Namespace)" && name == "" {
			keeps = true
		}
		if kind == "Deployment" && name == "kustomize-controller" &&
			strings.Contains(patch, "--feature-gates=CancelHealthCheckOnNewRevision=true") {
			cancels = true
		}
		// The toolkit that releases and sources need must not be patched away.
		if kind == "CustomResourceDefinition" && strings.Contains(patch, "$patch: delete") {
			for _, group := range []string{"helm", "kustomize", "source.toolkit", "notification"} {
				if strings.Contains(name, group) {
					t.Errorf("a patch deletes the definitions %s", name)
				}
			}
		}
	}
	if !keeps {
		t.Error("no patch keeps Flux's definitions and namespace from being pruned")
	}
	if !cancels {
		t.Error("Kustomization flux does not let a new revision cancel the health checks of a broken one")
	}
	source := find(t, root(t, s.Name), "OCIRepository", "flux-manifests")
	check(t, source.Object, map[string]any{
		"spec/url": "oci://ghcr.io/fluxcd/flux-manifests", "spec/ref": map[string]any{"tag": s.Facts.FluxVersion},
	})
}

func TestStackSource(t *testing.T) {
	for _, s := range sites(t).Sites {
		check(t, find(t, root(t, s.Name), "GitRepository", "flux-system").Object, map[string]any{
			"spec/url": s.Facts.GitURL, "spec/ref": map[string]any{"branch": s.Facts.GitBranch},
			"spec/secretRef": map[string]any{"name": "flux-system"},
		})
	}
}

func TestStackGuard(t *testing.T) {
	objects := root(t, sites(t).Sites[0].Name)
	policy := find(t, objects, "ValidatingAdmissionPolicy", "archipel-keep-the-network").Object
	check(t, policy, map[string]any{"spec/failurePolicy": "Fail"})
	guarded := map[string]bool{}
	rules, _ := at(policy, "spec", "matchConstraints", "resourceRules").([]any)
	for _, r := range rules {
		rule := r.(map[string]any)
		if !reflect.DeepEqual(rule["operations"], []any{"DELETE"}) {
			t.Errorf("operations are %v", rule["operations"])
		}
		for _, resource := range rule["resources"].([]any) {
			guarded[resource.(string)] = true
		}
	}
	for _, resource := range []string{"helmreleases", "customresourcedefinitions", "namespaces"} {
		if !guarded[resource] {
			t.Errorf("%s are not guarded", resource)
		}
	}
	conditions := text(t, at(policy, "spec", "matchConditions"))
	for _, part := range []string{"cilium", "cilium.io", "helm.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io", "source.toolkit.fluxcd.io", "flux-system"} {
		if !strings.Contains(conditions, part) {
			t.Errorf("the condition does not name %s: %s", part, conditions)
		}
	}
	check(t, find(t, objects, "ValidatingAdmissionPolicyBinding", "archipel-keep-the-network").Object, map[string]any{
		"spec/policyName": "archipel-keep-the-network", "spec/validationActions": []any{"Deny"},
	})
}

// Nothing may uninstall the network, and a slow rollout is not a failed one.
func TestStackCiliumRelease(t *testing.T) {
	for _, s := range sites(t).Sites {
		objects := folder(t, os.DirFS(repository), s.Name, stack+"/apps/cilium/app")
		release := find(t, objects, "HelmRelease", "cilium").Object
		check(t, release, map[string]any{
			"metadata/namespace":   "flux-system",
			"metadata/annotations": map[string]any{"kustomize.toolkit.fluxcd.io/prune": "disabled"},
			"spec/releaseName":     "cilium",
			"spec/targetNamespace": "kube-system", "spec/storageNamespace": "kube-system",
			"spec/timeout":               "20m",
			"spec/chart/spec/version":    s.Facts.CiliumVersion,
			"spec/install/strategy/name": "RetryOnFailure", "spec/upgrade/strategy/name": "RetryOnFailure",
			"spec/upgrade/cleanupOnFail": false,
			"spec/driftDetection/mode":   "enabled",
			"spec/valuesFrom":            []any{map[string]any{"kind": "ConfigMap", "name": "mesh-peers"}},
			"spec/uninstall":             nil, "spec/suspend": nil, "spec/install/remediation": nil, "spec/upgrade/remediation": nil,
		})
		find(t, root(t, s.Name), "ConfigMap", "mesh-peers")
	}
}

// The settings of Cilium, each for the reason that release.yaml gives beside it.
func TestStackCiliumValues(t *testing.T) {
	f := sites(t)
	for _, s := range f.Sites {
		t.Run(s.Name, func(t *testing.T) {
			objects := folder(t, os.DirFS(repository), s.Name, stack+"/apps/cilium/app")
			values, _ := at(find(t, objects, "HelmRelease", "cilium").Object, "spec", "values").(map[string]any)
			check(t, values, map[string]any{
				"cluster/name": s.Name, "cluster/id": int64(s.Facts.ClusterID),
				"k8sServiceHost": "127.0.0.1", "k8sServicePort": int64(6444),
				"kubeProxyReplacement": true, "kubeProxyReplacementHealthzBindAddr": "0.0.0.0:10256",
				"routingMode": "native", "ipam/mode": "kubernetes", "tunnelProtocol": nil,
				"ipv4NativeRoutingCIDR": s.Facts.NativeRoutingCIDR.String(),
				"autoDirectNodeRoutes":  true, "directRoutingSkipUnreachable": true,
				"bpf/masquerade": true,
				"devices":        s.Facts.NodeInterface, "MTU": int64(s.Facts.MTU),
				"l2announcements/enabled": false, "defaultLBServiceIPAM": "none",
				"encryption/enabled": true, "encryption/type": "wireguard", "encryption/nodeEncryption": false,
				"clustermesh/useAPIServer": true, "clustermesh/config/enabled": true,
				"clustermesh/maxConnectedClusters":       int64(s.Facts.MeshMaxClusters),
				"clustermesh/policyDefaultLocalCluster":  true,
				"clustermesh/apiserver/service/type":     "LoadBalancer",
				"clustermesh/apiserver/service/nodePort": nil,
				"clustermesh/apiserver/service/annotations": map[string]any{
					"metallb.io/address-pool": "mesh", "metallb.io/loadBalancerIPs": s.Facts.MeshAPIAddress.String(),
				},
				"clustermesh/apiserver/tls/auto/enabled": true, "clustermesh/apiserver/tls/auto/method": "cronJob",
				"hubble/tls/auto/enabled": true, "hubble/tls/auto/method": "cronJob",
				"certgen/generateCA":                          false,
				"rollOutCiliumPods":                           true,
				"updateStrategy/rollingUpdate/maxUnavailable": int64(1),
			})
			if replicas, ok := at(values, "operator", "replicas").(int64); !ok || replicas < 1 || int(replicas) > len(s.Nodes) {
				t.Errorf("operator.replicas is %v with %d nodes", at(values, "operator", "replicas"), len(s.Nodes))
			}
			routed := netip.MustParsePrefix(at(values, "ipv4NativeRoutingCIDR").(string))
			for _, other := range f.Sites {
				if pods := other.Facts.PodCIDR; !routed.Contains(pods.Addr()) || routed.Bits() > pods.Bits() {
					t.Errorf("%v does not hold the pods %v of %s", routed, pods, other.Name)
				}
				if routed.Overlaps(other.Facts.NodeCIDR) || routed.Overlaps(other.Facts.ServiceCIDR) {
					t.Errorf("%v holds node or service addresses of %s", routed, other.Name)
				}
			}
		})
	}
}

// What must be equal on all sites for one mesh.
func TestStackCiliumIsTheSameOnAllSites(t *testing.T) {
	var first string
	for _, s := range sites(t).Sites {
		objects := folder(t, os.DirFS(repository), s.Name, stack+"/apps/cilium/app")
		values, _ := at(find(t, objects, "HelmRelease", "cilium").Object, "spec", "values").(map[string]any)
		unstructured.RemoveNestedField(values, "cluster")
		unstructured.RemoveNestedField(values, "clustermesh", "apiserver", "service", "annotations", "metallb.io/loadBalancerIPs")
		got := text(t, values)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("%s has\n%s\nand the first site\n%s", s.Name, got, first)
		}
	}
}

func TestStackMetalLB(t *testing.T) {
	for _, s := range sites(t).Sites {
		t.Run(s.Name, func(t *testing.T) {
			app := folder(t, os.DirFS(repository), s.Name, stack+"/apps/metallb/app")
			check(t, find(t, app, "HelmRelease", "metallb").Object, map[string]any{
				"spec/targetNamespace": "metallb-system", "spec/chart/spec/version": s.Facts.MetalLBVersion,
				"spec/install/strategy/name": "RetryOnFailure", "spec/upgrade/strategy/name": "RetryOnFailure",
				"spec/values/frrk8s/enabled":          false,
				"spec/values/speaker/frr/enabled":     false,
				"spec/values/speaker/ignoreExcludeLB": true,
			})
			check(t, find(t, app, "Namespace", "metallb-system").Object, map[string]any{
				"metadata/labels": map[string]any{
					"pod-security.kubernetes.io/enforce": "privileged",
					"pod-security.kubernetes.io/audit":   "privileged",
					"pod-security.kubernetes.io/warn":    "privileged",
				},
			})
			for _, object := range app {
				if strings.HasPrefix(object.GetAPIVersion(), "metallb.io/") {
					t.Errorf("%s stands beside the chart that brings its definition", object.GetKind())
				}
			}

			config := folder(t, os.DirFS(repository), s.Name, stack+"/apps/metallb/config")
			mesh := find(t, config, "IPAddressPool", "mesh").Object
			check(t, mesh, map[string]any{
				"spec/addresses":         []any{s.Facts.MeshAPIAddress.String() + "/32"},
				"spec/autoAssign":        false,
				"spec/serviceAllocation": map[string]any{"namespaces": []any{"kube-system"}},
			})
			public := find(t, config, "IPAddressPool", "public").Object
			addresses, _ := at(public, "spec", "addresses").([]any)
			if len(addresses) == 0 {
				t.Fatalf("the public pool has %v", at(public, "spec", "addresses"))
			}
			for _, a := range addresses {
				first, last, ok := strings.Cut(a.(string), "-")
				if !ok {
					t.Fatalf("%v is no range", a)
				}
				r := fleet.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
				if !s.Facts.NodeCIDR.Contains(r.First) || !s.Facts.NodeCIDR.Contains(r.Last) {
					t.Errorf("%v is not in %v, where L2 announces", r, s.Facts.NodeCIDR)
				}
				if r.Contains(s.Facts.MeshAPIAddress) {
					t.Errorf("%v holds the mesh address: MetalLB refuses pools that overlap", r)
				}
				for _, node := range s.Nodes {
					if r.Contains(node.Address) {
						t.Errorf("%v holds node %s", r, node.Name)
					}
				}
			}
			check(t, find(t, config, "L2Advertisement", "all").Object, map[string]any{
				"spec/interfaces":     []any{s.Facts.NodeInterface},
				"spec/ipAddressPools": []any{"public", "mesh"},
			})
		})
	}
}
