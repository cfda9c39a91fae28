package render

import (
	"archipel/internal/finding"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Result is what Flux would make of one site, or of one folder.
type Result struct {
	Site           string            // name of the site; empty for a folder that is no site
	Objects        []*Object         // all that Flux would apply or Helm install, sorted by ID and then by origin
	Kustomizations []*Kustomization  // the Flux Kustomizations reached, in the order in which they were reached
	Releases       []*Release        // the HelmReleases reached, in the same order
	Sources        []*Source         // the sources declared, sorted by kind, namespace, name
	Skipped        []Skip            // what could not be computed offline, and why
	Findings       []finding.Finding // what Flux itself would refuse

	secrets secretValues
}

// ID names an object as the API server does.
type ID struct {
	Group, Kind     string // the version is not part of an object's identity
	Namespace, Name string // Namespace is empty for cluster-wide objects and when nothing says it
}

// Object is one Kubernetes object that would be applied, and where it comes from.
type Object struct {
	*unstructured.Unstructured
	Origin Origin
}

// Origin is where an object comes from.
type Origin struct {
	// Position is the document in the repository that declares the object: for an object
	// of a chart or an artefact, the document of its HelmRelease or Kustomization. The zero
	// Position means unknown, which is better than a guess.
	Position      finding.Position
	Kustomization *Kustomization // the Flux Kustomization that applies it; nil for the entry of a plain folder
	Release       *Release       // the HelmRelease that installs it; nil when a Kustomization applies it
	Template      string         // file of the chart, for example "cilium/templates/cilium-agent/daemonset.yaml"
	Hook          bool           // a Helm hook: it is created and deleted on the way, and does not stay
	CRD           bool           // from a chart's crds/ folder: installed under the release's CRD policy
	Opaque        bool           // holds values that could not be decrypted here
	Decrypted     bool           // holds what was decrypted here, or what substitution had of a Secret
	// Unsure are the functions that the template called and whose result nobody can know
	// here: time, chance, what is in the cluster. Sorted; for example "genCA".
	Unsure []string
}

// Kustomization is a Flux Kustomization: a node of the graph that a site is.
type Kustomization struct {
	Namespace, Name string
	Object          *Object // nil for the root of a site in a repository that does not declare its own root
	Path            string  // folder that is built, slash-separated, relative to its source; "" is the source's root
	Source          *Source // nil when it is declared nowhere
	Parent          *Kustomization
	// Built is false when it was skipped or when Flux would refuse it; its objects are then
	// missing, or stand there as far as they could be computed.
	Built           bool
	DependsOn       []string          // namespace/name
	Variables       map[string]string // what substitution had; secret values are in SecretVariables only
	SecretVariables map[string]bool   // names of the variables that a Secret gave
	Used            map[string]bool   // names of the variables that the folder's objects used
}

// Release is a HelmRelease as helm-controller would install it.
type Release struct {
	Namespace, Name  string // of the HelmRelease
	Object           *Object
	ReleaseName      string
	TargetNamespace  string
	StorageNamespace string
	Chart            Chart
	Values           map[string]any // merged as the chart gets them, the chart's own defaults not included
	SecretValues     bool           // Values hold what was decrypted: never print or keep them
	Rendered         bool           // false when it was skipped or refused
}

// Chart is the chart that a release uses.
type Chart struct {
	Name, Version string // as in the chart itself once fetched, before that as asked for
	Digest        string // sha256:... of the archive; of the sorted files for a chart in Git
	Source        *Source
	Schema        []byte // values.schema.json of the chart; nil when it has none
}

// Source is a GitRepository, OCIRepository, HelmRepository, HelmChart or Bucket.
type Source struct {
	Kind, Namespace, Name string
	URL                   string
	Object                *Object
	Local                 bool // it is this repository
}

// Skip is what was left out, because it cannot be known here.
type Skip struct {
	Code     string // noun-problem, for example "chart-unavailable"; never changes
	Reason   string // one line: what is missing, and how to get it
	Object   string // kind namespace/name of the object that was skipped
	Position finding.Position
}
