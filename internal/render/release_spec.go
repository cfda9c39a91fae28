package render

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"
)

// releaseSpec is what a HelmRelease says about the objects it leads to,
// helm.toolkit.fluxcd.io/v2.
type releaseSpec struct {
	ReleaseName      string `json:"releaseName"`
	TargetNamespace  string `json:"targetNamespace"`
	StorageNamespace string `json:"storageNamespace"`
	Chart            *struct {
		Spec chartSpec `json:"spec"`
	} `json:"chart"`
	ChartRef       *objectRef      `json:"chartRef"`
	KubeConfig     json.RawMessage `json:"kubeConfig"`
	Values         json.RawMessage `json:"values"`
	ValuesFrom     []valuesRef     `json:"valuesFrom"`
	Install        helmAction      `json:"install"`
	CommonMetadata *struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"commonMetadata"`
	PostRenderers []struct {
		Kustomize *struct {
			Patches []patch       `json:"patches"`
			Images  []types.Image `json:"images"`
		} `json:"kustomize"`
	} `json:"postRenderers"`
	PostRenderStrategy string `json:"postRenderStrategy"`
}

// helmAction is what of spec.install changes the objects of the first installation.
type helmAction struct {
	CRDs                    string `json:"crds"`
	CreateNamespace         bool   `json:"createNamespace"`
	DisableHooks            bool   `json:"disableHooks"`
	DisableSchemaValidation bool   `json:"disableSchemaValidation"`
}

// chartSpec is the spec of a HelmChart, and of the template for one in a HelmRelease.
type chartSpec struct {
	Chart                    string    `json:"chart"`
	Version                  string    `json:"version"`
	SourceRef                objectRef `json:"sourceRef"`
	ReconcileStrategy        string    `json:"reconcileStrategy"`
	ValuesFiles              []string  `json:"valuesFiles"`
	IgnoreMissingValuesFiles bool      `json:"ignoreMissingValuesFiles"`
}

// valuesRef is an element of spec.valuesFrom.
type valuesRef struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	ValuesKey  string `json:"valuesKey"`
	TargetPath string `json:"targetPath"`
	Literal    bool   `json:"literal"`
	Optional   bool   `json:"optional"`
}

// readSpec reads the spec of an object of Flux into one of the types above.
func readSpec(object *unstructured.Unstructured, into any) error {
	data, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("spec.%s must not be a %s", wrong.Field, wrong.Value)
		}
		return errors.New("its spec cannot be read")
	}
	return nil
}

// validate returns what helm-controller or its definition would refuse.
func (s *releaseSpec) validate() error {
	switch {
	case (s.Chart == nil) == (s.ChartRef == nil):
		return errors.New("want one of spec.chart and spec.chartRef")
	case s.Chart != nil && s.Chart.Spec.Chart == "":
		return errors.New("spec.chart.spec.chart is missing")
	case s.Chart != nil && (s.Chart.Spec.SourceRef.Kind == "" || s.Chart.Spec.SourceRef.Name == ""):
		return errors.New("spec.chart.spec.sourceRef needs kind and name")
	case s.ChartRef != nil && (s.ChartRef.Kind == "" || s.ChartRef.Name == ""):
		return errors.New("spec.chartRef needs kind and name")
	}
	switch s.Install.CRDs {
	case "", "Create", "CreateReplace", "Skip":
	default:
		return fmt.Errorf("spec.install.crds is %q, but wants Create, CreateReplace or Skip", s.Install.CRDs)
	}
	switch s.PostRenderStrategy {
	case "", "combined", "separate", "nohooks":
	default:
		return fmt.Errorf("spec.postRenderStrategy is %q, but wants combined, separate or nohooks", s.PostRenderStrategy)
	}
	return nil
}

// shortName is the name of the release in Helm, which allows 53 characters
// (helm-controller, release.ShortenName).
func shortName(name string) string {
	const longest, hash = 53, 12
	if len(name) <= longest {
		return name
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	return name[:longest-hash-1] + "-" + sum[:hash]
}
