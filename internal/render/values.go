package render

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"

	"archipel/internal/finding"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// merged are the values of a release, as chartutil.ChartValuesFromReferences of fluxcd/pkg
// makes them.
type merged struct {
	values  map[string]any
	secrets []string // what a Secret gave
	secret  bool
	skip    *Skip
	problem *finding.Finding
}

// mergeValues merges spec.valuesFrom in its order and spec.values over it. Maps are shared
// and changed as Flux shares and changes them: that decides whether what a targetPath sets
// inside of spec.values stays.
func (in releaseInput) mergeValues(s *releaseSpec) merged {
	var own map[string]any
	if len(s.Values) > 0 {
		if err := yaml.Unmarshal(s.Values, &own); err != nil {
			return merged{problem: in.problem("helmrelease-invalid", "spec.values is no map", "make it a map")}
		}
	}
	m := merged{values: map[string]any{}}
	for _, ref := range s.ValuesFrom {
		in.mergeFrom(&m, ref, own)
		if m.skip != nil || m.problem != nil {
			return m
		}
	}
	m.values = mergeMaps(m.values, own)
	return m
}

func (in releaseInput) mergeFrom(m *merged, ref valuesRef, own map[string]any) {
	key, namespace := cmp.Or(ref.ValuesKey, "values.yaml"), in.object.GetNamespace()
	name := ref.Kind + " " + namespace + "/" + ref.Name
	if ref.Kind != "ConfigMap" && ref.Kind != "Secret" {
		m.problem = in.problem("helmrelease-invalid", fmt.Sprintf("spec.valuesFrom has the kind %q", ref.Kind), "use ConfigMap or Secret")
		return
	}
	isSecret := ref.Kind == "Secret"
	from := in.find(ref.Kind, namespace, ref.Name)
	switch {
	case from == nil && ref.Optional:
		return
	case from == nil && isSecret:
		m.skip = in.skip("secret-missing", "the values come from a Secret that is not in the repository: add it, encrypted")
		return
	case from == nil:
		m.problem = in.problem("values-source-missing", "spec.valuesFrom names "+name+", which nothing declares",
			"declare it in the namespace of the HelmRelease, or set optional: true")
		return
	case isSecret && from.Origin.Opaque:
		m.skip = in.skip("values-secret-opaque", "the values come from a Secret that cannot be decrypted here: give a key that can")
		return
	}
	text, ok, err := dataOf(from, key)
	switch {
	case err != nil:
		m.problem = in.problem("values-invalid", fmt.Sprintf("the key %s of %s is no base64", key, name), "encode it, or use stringData")
		return
	case !ok && ref.Optional:
		return
	case !ok:
		m.problem = in.problem("values-source-missing", fmt.Sprintf("spec.valuesFrom names the key %s of %s, which it does not have", key, name),
			"name one of its keys in valuesKey, or set optional: true")
		return
	}
	m.secret = m.secret || isSecret || from.Origin.Decrypted
	if ref.TargetPath != "" {
		if isSecret {
			m.secrets = append(m.secrets, text)
		}
		m.values = mergeMaps(m.values, own)
		if err := setPath(m.values, ref.TargetPath, text, ref.Literal); err != nil {
			message := fmt.Sprintf("the key %s of %s cannot be set at %s", key, name, ref.TargetPath)
			if !isSecret {
				message += ": " + line(err)
			}
			m.problem = in.problem("values-invalid", message, "correct targetPath, or set literal: true for a text that is no --set expression")
		}
		return
	}
	var read map[string]any
	if err := yaml.Unmarshal([]byte(text), &read); err != nil {
		message := fmt.Sprintf("the key %s of %s is no map in YAML", key, name)
		if !isSecret {
			message += ": " + line(err)
		}
		m.problem = in.problem("values-invalid", message, "correct it, or set targetPath to use it as one value")
		return
	}
	if isSecret {
		scalars(read, &m.secrets)
	}
	m.values = mergeMaps(m.values, read)
}

// dataOf returns a value of a ConfigMap or a Secret.
func dataOf(o *Object, key string) (text string, ok bool, err error) {
	if o.GetKind() == "Secret" {
		plain, _ := o.Object["stringData"].(map[string]any)
		if text, ok = plain[key].(string); ok {
			return text, true, nil
		}
	}
	data, _ := o.Object["data"].(map[string]any)
	text, ok = data[key].(string)
	if !ok || o.GetKind() != "Secret" {
		return text, ok, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	return string(decoded), true, err
}

// scalars collects the texts of a value.
func scalars(value any, into *[]string) {
	switch v := value.(type) {
	case map[string]any:
		for _, e := range v {
			scalars(e, into)
		}
	case []any:
		for _, e := range v {
			scalars(e, into)
		}
	case nil, bool:
	default:
		*into = append(*into, fmt.Sprint(v))
	}
}

// setPath sets a value as helm --set does; in quotes it stays a text. A literal is taken as
// it is.
func setPath(values map[string]any, path, value string, literal bool) (err error) {
	defer func() {
		if recover() != nil { // strvals panics on some paths
			err = errors.New("the path cannot be read")
		}
	}()
	if literal {
		escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`)
		return strvals.ParseIntoString(path+"="+escape.Replace(value), values)
	}
	quoted := func(quote string) bool { return strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) }
	if quoted("'") || quoted(`"`) {
		return strvals.ParseIntoString(path+"="+strings.Trim(value, `'"`), values)
	}
	return strvals.ParseInto(path+"="+value, values)
}

// mergeMaps returns a with b over it. Neither is changed, but parts are shared.
func mergeMaps(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	maps.Copy(out, a)
	for k, v := range b {
		if over, ok := v.(map[string]any); ok {
			if under, ok := out[k].(map[string]any); ok {
				out[k] = mergeMaps(under, over)
				continue
			}
		}
		out[k] = v
	}
	return out
}
