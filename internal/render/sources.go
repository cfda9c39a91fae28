package render

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"archipel/internal/chart"
	"archipel/internal/finding"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// files is what a source's artefact holds. It is nil when that cannot be had here, which
// is then noted at o, the object that needs it.
func (w *walk) files(ctx context.Context, s *Source, o *Object) (*tree, error) {
	if s.Local {
		return w.local(s, o)
	}
	if s.Kind != "OCIRepository" {
		w.skip("source-elsewhere", fmt.Sprintf("its source %s %s/%s (%s) is not this repository, and is not fetched", s.Kind, s.Namespace, s.Name, or(s.URL, "no URL")), o)
		return nil, nil
	}
	if w.r.charts == nil {
		w.skip("chart-unavailable", fmt.Sprintf("the artefact %s is not fetched here", s.URL), o)
		return nil, nil
	}
	pkg, err := w.r.charts.Get(ctx, artefactOf(s.Object.Unstructured))
	if unavailable, ok := errors.AsType[*chart.UnavailableError](err); ok {
		w.skip("chart-unavailable", line(unavailable), o)
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		w.fail("source-unreadable", s.Object, fmt.Sprintf("the artefact of OCIRepository %s/%s cannot be used: %s", s.Namespace, s.Name, line(err)), "correct spec.url or spec.ref")
		return nil, nil
	}
	ignore, _, _ := unstructured.NestedString(s.Object.Object, "spec", "ignore")
	made := w.r.once(keyOf("artefact", pkg.Digest, fmt.Sprint(len(pkg.Files)), ignore), func() (any, *finding.Finding) {
		t, err := artefact(pkg.Files).archive(ignore)
		if err != nil {
			return nil, refused("", err)
		}
		return t, nil
	})
	if made.problem != nil {
		w.fail("source-unreadable", s.Object, made.problem.Message, "correct the artefact")
		return nil, nil
	}
	return made.value.(*tree), nil
}

// local is this repository as the source's artefact holds it.
func (w *walk) local(s *Source, o *Object) (*tree, error) {
	ignore := ""
	if s.Object != nil {
		ignore, _, _ = unstructured.NestedString(s.Object.Object, "spec", "ignore")
		if include, _, _ := unstructured.NestedSlice(s.Object.Object, "spec", "include"); len(include) > 0 {
			w.skip("source-elsewhere", fmt.Sprintf("%s %s/%s includes other sources, which are not fetched", s.Kind, s.Namespace, s.Name), o)
		}
		if only, _, _ := unstructured.NestedStringSlice(s.Object.Object, "spec", "sparseCheckout"); len(only) > 0 {
			ignore = sparse(only) + ignore
		}
	}
	return w.r.archive(ignore)
}

// sparse are rules of .gitignore that leave only some folders.
func sparse(folders []string) string {
	var rules strings.Builder
	rules.WriteString("/*\n")
	for _, folder := range folders {
		above := ""
		parts := strings.Split(inside(folder), "/")
		for _, part := range parts[:len(parts)-1] {
			above += "/" + part
			fmt.Fprintf(&rules, "!%s/\n%s/*\n", above, above)
		}
		fmt.Fprintf(&rules, "!/%s/\n", inside(folder))
	}
	return rules.String()
}

// artefactOf is what an OCIRepository asks for.
func artefactOf(object *unstructured.Unstructured) chart.Reference {
	at := func(fields ...string) string {
		text, _, _ := unstructured.NestedString(object.Object, append([]string{"spec"}, fields...)...)
		return text
	}
	insecure, _, _ := unstructured.NestedBool(object.Object, "spec", "insecure")
	return chart.Reference{
		Repository: at("url"), Version: at("ref", "tag"), SemVer: at("ref", "semver"), SemVerFilter: at("ref", "semverFilter"),
		Digest: at("ref", "digest"), MediaType: at("layerSelector", "mediaType"), Insecure: insecure,
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
