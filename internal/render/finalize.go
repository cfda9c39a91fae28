package render

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/secret"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// decodeYAML reads one YAML document as kustomize-controller does.
func decodeYAML(text string) (map[string]any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	return decode(data)
}

// variables are what substitution has for a Kustomization; complete is false when one of
// the objects they come from is not there. early takes them from what the entry itself
// declares, and reports nothing.
func (w *walk) variables(n *node, early bool) (all map[string]variable, complete bool) {
	if n.spec.PostBuild == nil {
		return nil, true
	}
	all, complete = map[string]variable{}, true
	for _, ref := range n.spec.PostBuild.SubstituteFrom {
		object, opaque, ok := w.valuesOf(n, ref)
		if !ok {
			if !ref.Optional && !early {
				complete = w.missing(n, ref) && complete
			}
			continue
		}
		values, _ := object["data"].(map[string]any)
		for name, value := range values {
			text, isText := value.(string)
			if !isText {
				continue
			}
			v := variable{secret: ref.Kind == "Secret"}
			if v.secret && !opaque {
				decoded, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					continue
				}
				text = string(decoded)
			}
			v.unknown = opaque || secret.Sealed(text)
			v.value = strings.ReplaceAll(text, "\n", "")
			all[name] = v
		}
		if texts, _ := object["stringData"].(map[string]any); opaque {
			for name := range texts {
				all[name] = variable{secret: true, unknown: true}
			}
		}
	}
	for name, value := range n.spec.PostBuild.Substitute {
		all[name] = variable{value: strings.ReplaceAll(value, "\n", "")}
	}
	for name := range all {
		if !variableName.MatchString(name) && !early {
			w.fail("substitution-failed", n.Object, fmt.Sprintf("Kustomization %s/%s substitutes %q, which is no name of a variable", n.Namespace, n.Name, name),
				"use letters, digits and underscores, and begin with no digit")
			delete(all, name)
			complete = false
		}
	}
	return all, complete
}

// valuesOf is a ConfigMap or Secret that a Kustomization substitutes from. The root may
// take its own: it has been applied before.
func (w *walk) valuesOf(n *node, ref objectRef) (object map[string]any, opaque, ok bool) {
	id := ID{Kind: ref.Kind, Namespace: n.Namespace, Name: ref.Name}
	if o := w.latest[id]; o != nil {
		return o.Object, o.Origin.Opaque, true
	}
	if n.Parent == nil {
		if o, ok := w.before[id]; ok {
			return o, isEncrypted(o), true
		}
	}
	return nil, false, false
}

func (w *walk) hasVariables(n *node, all bool) bool {
	if n.spec.PostBuild == nil {
		return true
	}
	for _, ref := range n.spec.PostBuild.SubstituteFrom {
		if _, _, ok := w.valuesOf(n, ref); !ok && (all || !ref.Optional) {
			return false
		}
	}
	return true
}

// missing notes that an object that gives variables is not there, and says whether it
// may be in the cluster all the same.
func (w *walk) missing(n *node, ref objectRef) bool {
	if ref.Kind == "Secret" { // made by hand often enough
		n.lacksSecret = true
		w.skip("secret-missing", fmt.Sprintf("its variables come from Secret %s/%s, which the repository does not hold: they stand as they are", n.Namespace, ref.Name), n.Object)
		return true
	}
	w.fail("substitution-source-missing", n.Object, fmt.Sprintf("Kustomization %s/%s substitutes from %s %s/%s, which nothing declares", n.Namespace, n.Name, ref.Kind, n.Namespace, ref.Name),
		"declare it, or set optional: true")
	return false
}

// finalize makes of an object of a build what the Kustomization applies. nil means that
// Flux applies nothing of it. n is nil for a plain folder.
func (w *walk) finalize(written *builtObject, n *node, t *tree, variables map[string]variable) *Object {
	at := written.Position
	if !t.local {
		at = finding.Position{}
		if n != nil && n.Object != nil {
			at = n.Object.Origin.Position
		}
	}
	object, err := written.parsed()
	if err != nil {
		w.add(finding.Finding{Rule: "kustomize-build-failed", Severity: finding.Error, Position: at, Message: "it is no Kubernetes object: " + line(err), Fix: "correct it"})
		return nil
	}
	if group(object) == "kustomize.config.k8s.io" { // Flux leaves these out
		return nil
	}
	result := &Object{Unstructured: object, Origin: Origin{Position: at}}
	if n == nil {
		if isEncrypted(object.Object) {
			result.Unstructured, result.Origin.Opaque = &unstructured.Unstructured{Object: withoutSOPS(object.Object)}, true
		}
		return result
	}
	result.Origin.Kustomization = n.Kustomization
	text := written.YAML
	content, private := w.decrypt(result, n, t)
	if content != nil {
		if text, err = toYAML(content); err != nil {
			return nil
		}
	} else {
		content = object.Object
	}
	key := ""
	if text != "" && n.substitutes(variables) && !disabledBy(content, substitutionDisabled, true) {
		put, ok := w.substituteIn(result, n, text, variables)
		if !ok {
			n.Built = false
		}
		if put.text != "" && put.text != text {
			key, private = put.text, private || put.secret
		}
	}
	result.Origin.Decrypted = private
	owner := n.owner()
	finish := func() (any, *finding.Finding) {
		if key != "" {
			decoded, err := decodeYAML(key)
			if err != nil { // its text would show what was put in
				return nil, &finding.Finding{
					Rule: "substitution-failed", Severity: finding.Error, Position: at, Secret: private,
					Message: fmt.Sprintf("with its variables put in, %s is no Kubernetes object any more", result.name()), Fix: "quote the variable",
				}
			}
			content = decoded
		}
		return &unstructured.Unstructured{Object: n.applied(content)}, nil
	}
	made := &entry{}
	switch {
	case private || result.Origin.Opaque:
		made.value, made.problem = finish()
	case key != "":
		made = w.r.once(keyOf("object", owner, key), finish)
	default:
		made = written.final.get(owner, finish)
	}
	if made.problem != nil {
		n.Built = false
		w.add(*made.problem)
		return nil
	}
	result.Unstructured = made.value.(*unstructured.Unstructured)
	if result.GetName() == "" || result.GetKind() == "" {
		return nil
	}
	for _, rule := range [][2]string{{kustomizeGroup + "/reconcile", "disabled"}, {kustomizeGroup + "/ssa", "Ignore"}} {
		if result.GetAnnotations()[rule[0]] == rule[1] || result.GetLabels()[rule[0]] == rule[1] {
			w.skip("apply-disabled", fmt.Sprintf("%s: %s keeps Flux from applying it", rule[0], rule[1]), result)
			return nil
		}
	}
	return result
}

func toYAML(object map[string]any) (string, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	text, err := yaml.JSONToYAML(data)
	return string(text), err
}

// substitutes says whether anything is put in: without variables Flux leaves the text
// as it is, unless it is told otherwise.
func (n *node) substitutes(variables map[string]variable) bool {
	return n.spec.PostBuild != nil && (len(variables) > 0 || n.spec.PostBuild.SubstituteStrategy == "Always")
}

// decrypt opens an object. It returns nil when there is nothing to open; private when
// what it returns must not be kept.
func (w *walk) decrypt(result *Object, n *node, t *tree) (content map[string]any, private bool) {
	var keys *keyring
	if n.spec.Decryption != nil && n.spec.Decryption.Provider == "sops" {
		keys = w.r.keys
	}
	object := result.Object
	encrypted := isEncrypted(object)
	if keys == nil {
		if encrypted && !disabledBy(object, "kustomize.toolkit.fluxcd.io/decrypt", false) {
			result.Origin.Opaque = true
			if object["kind"] == "Secret" {
				n.Built = false
				w.add(finding.Finding{
					Rule: "decryption-missing", Severity: finding.Error, Position: result.Origin.Position, Secret: true,
					Message: fmt.Sprintf("%s is encrypted with SOPS, and Kustomization %s/%s does not decrypt: Flux refuses it", result.name(), n.Namespace, n.Name),
					Fix:     "set spec.decryption of the Kustomization",
				})
			}
			return withoutSOPS(object), true
		}
		return nil, false
	}
	opened, opaque, err := keys.decryptObject(object)
	switch {
	case err != nil:
		n.Built = false
		result.Origin.Opaque = true
		w.add(n.place(*undecryptable(result.Origin.Position, err), t))
		return withoutSOPS(object), true
	case opaque:
		result.Origin.Opaque = true
		w.skip("secret-undecryptable", "it is encrypted, and no age identity at hand opens it: its values stay as they are", result)
		if opened == nil {
			opened = object
		}
		return opened, true
	case opened != nil && encrypted && t.local:
		w.checkIntact(result, t)
	}
	if opened != nil && object["kind"] == "Secret" {
		for _, field := range []string{"data", "stringData"} {
			values, _ := opened[field].(map[string]any)
			for _, value := range values {
				text, _ := value.(string)
				if decoded, err := base64.StdEncoding.DecodeString(text); err == nil && field == "data" {
					text = string(decoded)
				}
				w.result.secrets.add(text)
			}
		}
	}
	return opened, opened != nil
}

// checkIntact looks at the file itself: kustomize may have changed the object since.
func (w *walk) checkIntact(result *Object, t *tree) {
	f := t.files[result.Origin.Position.File]
	if f == nil {
		return
	}
	data, err := f.content()
	if err != nil {
		return
	}
	if _, intact, err := secret.Decrypt(data, formatOf(f.name), secret.JSON, w.r.keys.identities); err == nil && !intact {
		w.add(altered(f.name))
	}
}

func (w *walk) substituteIn(result *Object, n *node, text string, variables map[string]variable) (substituted, bool) {
	put, err := substitute(text, variables)
	for _, name := range put.used {
		n.Used[name] = true
	}
	if err != nil {
		w.add(finding.Finding{
			Rule: "substitution-failed", Severity: finding.Error, Position: result.Origin.Position,
			Message: fmt.Sprintf("Flux cannot substitute the variables of %s: %s", result.name(), line(err)), Fix: "correct it; write $${ for what is no variable",
		})
		return substituted{}, false
	}
	result.Origin.Opaque = result.Origin.Opaque || put.opaque
	for _, name := range put.missing {
		if n.lacksSecret {
			result.Origin.Opaque = true
			continue
		}
		w.add(finding.Finding{
			Rule: "variable-unresolved", Severity: finding.Error, Position: w.variableAt(result.Origin.Position, name),
			Message: fmt.Sprintf("the variable %s has no value and no default for Kustomization %s/%s: Flux refuses all of it", name, n.Namespace, n.Name),
			Fix:     fmt.Sprintf("give it a value, a default (${%s:-value}), or write $${%s} for what is no variable", name, name),
		})
	}
	return put, len(put.missing) == 0 || n.lacksSecret
}

// variableAt is where a variable stands, from the beginning of an object on.
func (w *walk) variableAt(at finding.Position, name string) finding.Position {
	t, err := w.r.repository()
	if err != nil || t.files[at.File] == nil {
		return at
	}
	data, err := t.files[at.File].content()
	if err != nil {
		return at
	}
	for i, text := range strings.Split(string(data), "\n") {
		if column := strings.Index(text, "${"+name); i+1 >= at.Line && column >= 0 && !strings.HasPrefix(text[max(column-1, 0):], "$$") {
			return finding.Position{File: at.File, Line: i + 1, Column: column + 1, Width: len(name) + 2}
		}
	}
	return at
}

// owner is all of a Kustomization that goes into each of its objects.
func (n *node) owner() string {
	common, err := json.Marshal(n.spec.CommonMetadata)
	if err != nil {
		return ""
	}
	return n.Namespace + "/" + n.Name + " " + string(common)
}

// applied is an object as kustomize-controller sends it: with its labels and the
// common metadata, a Secret's stringData in its data, and without a status.
func (n *node) applied(object map[string]any) map[string]any {
	object = maps.Clone(object)
	metadata, _ := object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]any{}
	}
	object["metadata"] = metadata
	labels := withTexts(metadata["labels"], map[string]string{
		kustomizeGroup + "/name": n.Name, kustomizeGroup + "/namespace": n.Namespace,
	})
	if common := n.spec.CommonMetadata; common != nil {
		labels = withTexts(labels, common.Labels)
		if annotations := withTexts(metadata["annotations"], common.Annotations); len(annotations) > 0 {
			metadata["annotations"] = annotations
		}
	}
	metadata["labels"] = labels
	if object["kind"] != "CustomResourceDefinition" {
		delete(object, "status")
	}
	if texts, ok := object["stringData"].(map[string]any); ok && object["kind"] == "Secret" && object["apiVersion"] == "v1" {
		data, _ := object["data"].(map[string]any)
		data = maps.Clone(data)
		if data == nil {
			data = map[string]any{}
		}
		for key, value := range texts {
			if text, ok := value.(string); ok && !secret.Sealed(text) {
				data[key] = base64.StdEncoding.EncodeToString([]byte(text))
			} else {
				data[key] = value
			}
		}
		object["data"] = data
		delete(object, "stringData")
	}
	return object
}

func withTexts(own any, more map[string]string) map[string]any {
	old, _ := own.(map[string]any)
	all := make(map[string]any, len(old)+len(more))
	maps.Copy(all, old)
	for key, value := range more {
		all[key] = value
	}
	return all
}
