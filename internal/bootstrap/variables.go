package bootstrap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/render"
	"archipel/internal/secret"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The names by which Flux and its objects are known.
const (
	fluxNamespace = "flux-system"
	fluxName      = "flux-system" // of the GitRepository and the Kustomization to begin with
	fluxItself    = "flux"        // the Kustomization of Flux's own manifests
	ciliumRelease = "cilium"
	secretsLayer  = "secrets" // the Kustomization of the encrypted files
	sopsAge       = "sops-age"
	meshCA        = "cilium-ca"
)

// WireGuard is the interconnect that gateways build.
const WireGuard = "wireguard"

// Secrets are what the playbooks of a site need to know and nobody else.
type Secrets struct {
	Variables  map[string]any // those of the site's secrets.sops.yml
	KeepsToken bool           // the servers keep the token that a rotation replaces
	first      *secret.FirstSecrets
}

// OpenSecrets decrypts the secrets of a site, in memory.
func OpenSecrets(store *secret.Store, keys *secret.Identities, site string) (*Secrets, error) {
	first, err := secret.ReadFirstSecrets(store, keys, site)
	if err != nil {
		return nil, err
	}
	file, _, err := secret.OpenFile(store, keys, secret.AnsibleFile(site))
	if err != nil {
		return nil, err
	}
	plain, err := file.Plain()
	if err != nil {
		return nil, err
	}
	s := &Secrets{first: first}
	if err := yaml.Unmarshal(plain, &s.Variables); err != nil || len(s.Variables) == 0 {
		return nil, fmt.Errorf("%s holds no variables", secret.AnsibleFile(site)) // the error may quote a value
	}
	// The datastore is encrypted with the token: a server that gets another one does not
	// start before `k3s token rotate` has changed it there (docs.k3s.io/cli/token).
	if before, ok := s.Variables[serverToken+"_previous"]; ok {
		s.Variables[serverToken], s.KeepsToken = before, true
	}
	return s, nil
}

// LinkVariables are those of the links between the sites.
func LinkVariables(repo fs.FS, f *fleet.Fleet, site *fleet.Site) (map[string]any, error) {
	vars := map[string]any{"site_name": site.Name, "site_link_gateways": site.Gateways, "site_link_peers": []any{}}
	if site.Facts.Interconnect != WireGuard {
		return vars, nil
	}
	peers := []any{}
	for _, other := range f.Sites {
		if other.Name == site.Name {
			continue
		}
		keys, err := publicKeys(repo, other.Name)
		if err != nil {
			return nil, err
		}
		gateways := []any{}
		for _, name := range other.Gateways {
			i := slices.IndexFunc(other.Nodes, func(n fleet.Node) bool { return n.Name == name })
			if i < 0 {
				continue
			}
			key, ok := keys[name]
			if !ok {
				return nil, &MissingKeyError{Site: other.Name, Node: name}
			}
			gateways = append(gateways, map[string]any{"name": name, "endpoint": other.Nodes[i].WireGuardEndpoint, "public_key": key})
		}
		peers = append(peers, map[string]any{
			"name": other.Name, "node_cidr": other.Facts.NodeCIDR.String(), "pod_cidr": other.Facts.PodCIDR.String(), "gateways": gateways,
		})
	}
	vars["site_link_peers"] = peers
	return vars, nil
}

// MissingKeyError says that a gateway has no WireGuard key.
type MissingKeyError struct{ Site, Node string }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("%s names no WireGuard key of the gateway %s", secret.PublicFile(e.Site), e.Node)
}

// publicKeys reads the public halves of a site's WireGuard keys, by node.
func publicKeys(repo fs.FS, site string) (map[string]string, error) {
	name := secret.PublicFile(site)
	content, err := fs.ReadFile(repo, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var file struct {
		Keys map[string]string `yaml:"wireguard_public_keys"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return file.Keys, nil
}

// ManifestsError says why a site cannot be given its first objects.
type ManifestsError struct{ Site, Reason string }

func (e *ManifestsError) Error() string {
	return fmt.Sprintf("rendering what %s begins with: %s", e.Site, e.Reason)
}

// ManifestVariables are the objects that a site begins with: Cilium as Flux's
// helm-controller will install it, Flux itself, what Flux syncs, and its secrets.
// The last ones are apart.
func ManifestVariables(site string, result *render.Result, root []*unstructured.Unstructured, s *Secrets) (vars, secrets map[string]any, err error) {
	wrong := func(format string, args ...any) (map[string]any, map[string]any, error) {
		return nil, nil, &ManifestsError{site, fmt.Sprintf(format, args...)}
	}
	for _, skip := range result.Skipped {
		if skip.Code == "chart-random" || skip.Code == "chart-lookup" {
			continue // it is rendered; what of it matters is looked at below
		}
		if strings.HasSuffix(skip.Object, "/"+ciliumRelease) || strings.HasSuffix(skip.Object, "/"+fluxItself) || strings.HasSuffix(skip.Object, "/"+secretsLayer) {
			return wrong("%s is left out, because %s", skip.Object, skip.Reason)
		}
	}
	var cilium, flux, first []*unstructured.Unstructured
	var sealed []string
	for _, o := range result.Objects {
		kustomization := ""
		if k := o.Origin.Kustomization; k != nil && k.Namespace == fluxNamespace {
			kustomization = k.Name
		}
		switch release := o.Origin.Release; {
		case o.Origin.Hook:
		case release != nil && release.Namespace == fluxNamespace && release.Name == ciliumRelease:
			if made := chance(o.Origin.Unsure); len(made) > 0 {
				return wrong("%s %s differs at each installation (%s), so that Flux would install it anew", o.GetKind(), o.GetName(), strings.Join(made, ", "))
			}
			cilium = append(cilium, owned(o, release))
		case release != nil:
		case kustomization == fluxItself:
			flux = append(flux, o.Unstructured)
		case kustomization == secretsLayer && o.GetKind() == "Secret" && (o.GetNamespace() == fluxNamespace || o.GetNamespace() == ciliumNamespace):
			if o.Origin.Opaque {
				sealed = append(sealed, o.GetName())
			}
			first = append(first, o.Unstructured)
		}
	}
	sync, needsGit := syncObjects(root)
	switch {
	case len(cilium) == 0:
		return wrong("there is no HelmRelease %s/%s that installs something", fluxNamespace, ciliumRelease)
	case len(flux) == 0:
		return wrong("the Kustomization %s/%s gives nothing", fluxNamespace, fluxItself)
	case len(sync) < 2:
		return wrong("there are no GitRepository and Kustomization %s/%s", fluxNamespace, fluxName)
	case len(sealed) > 0:
		return wrong("no age identity at hand opens the Secrets %s", strings.Join(sealed, ", "))
	}
	has := func(namespace, name string) bool {
		return slices.ContainsFunc(first, func(o *unstructured.Unstructured) bool { return o.GetNamespace() == namespace && o.GetName() == name })
	}
	if !has(ciliumNamespace, meshCA) {
		return wrong("there is no mesh CA, which %s holds: archipel secret init makes it", secret.FluxFile(site, meshCA))
	}
	if needsGit != "" && !has(fluxNamespace, needsGit) {
		return wrong("there is no %s, with which Flux reads Git: archipel secret init makes it", secret.FluxFile(site, needsGit))
	}
	identities := &unstructured.Unstructured{Object: secret.SecretObject(fluxNamespace, sopsAge, map[string]string{
		secret.ClusterEntry: strings.Join(s.first.Identities, "\n") + "\n",
	})}
	return map[string]any{
			"flux_bootstrap_cilium_b64": stream(cilium), "flux_bootstrap_flux_b64": stream(flux), "flux_bootstrap_sync_b64": stream(sync),
		}, map[string]any{
			"flux_bootstrap_secrets_b64": stream(append(first, identities)),
		}, nil
}

// chance are the functions whose result differs between what is rendered here and
// what Flux installs. What is in the cluster is not among them, because nothing is
// there yet, nor is the time, by which Cilium's chart checks durations.
func chance(functions []string) []string {
	return slices.DeleteFunc(slices.Clone(functions), func(name string) bool { return name == "lookup" || name == "now" })
}

// ciliumNamespace is where Cilium runs.
const ciliumNamespace = "kube-system"

// owned marks an object of a release as Helm does, so that helm-controller takes it
// over instead of refusing what it has not made. What a chart's crds folder holds is
// not marked, by Helm neither.
func owned(o *render.Object, release *render.Release) *unstructured.Unstructured {
	if o.Origin.CRD {
		return o.Unstructured
	}
	object := o.DeepCopy()
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels["app.kubernetes.io/managed-by"] = "Helm"
	annotations["meta.helm.sh/release-name"] = release.ReleaseName
	annotations["meta.helm.sh/release-namespace"] = release.TargetNamespace
	object.SetLabels(labels)
	object.SetAnnotations(annotations)
	return object
}

// syncObjects are those of the root that Flux begins with, and the Secret with which
// it reads Git.
func syncObjects(root []*unstructured.Unstructured) (objects []*unstructured.Unstructured, secretName string) {
	for _, object := range root {
		switch object.GetKind() {
		case "ConfigMap":
			objects = append(objects, object)
		case "GitRepository", "Kustomization":
			if object.GetName() != fluxName {
				continue
			}
			objects = append(objects, object)
			if object.GetKind() == "GitRepository" {
				secretName, _, _ = unstructured.NestedString(object.Object, "spec", "secretRef", "name")
			}
		}
	}
	return objects, secretName
}

// stream writes objects as a stream of YAML, in base64, which passes through Ansible
// without being taken for a template.
func stream(objects []*unstructured.Unstructured) string {
	var out strings.Builder
	for _, object := range objects {
		out.WriteString("---\n")
		out.Write(render.YAML(object.Object))
	}
	return base64.StdEncoding.EncodeToString([]byte(out.String()))
}
