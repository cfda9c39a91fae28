package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aquasecurity/trivy/pkg/iac/scanners/kubernetes"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/terraform"
)

// objects are one of each kind that Trivy has checks for, bad ones beside good ones.
func objects() []Object {
	pod := `{"containers": [{"name": "app", "image": "example.org/app:latest", "securityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN"]}}},
		{"name": "tidy", "image": "example.org/tidy@sha256:0000000000000000000000000000000000000000000000000000000000000000", "securityContext": {
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 20000, "runAsGroup": 20000,
			"capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
			"resources": {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "1", "memory": "1Mi"}}}],
		"hostNetwork": true, "hostPID": true, "volumes": [{"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}}]}`
	texts := []string{`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "a"}, "spec": ` + pod + `}`}
	for _, kind := range []string{"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"} {
		texts = append(texts, fmt.Sprintf(`{"apiVersion": "apps/v1", "kind": %q, "metadata": {"name": "x", "namespace": "kube-system"}, "spec": {"template": {"spec": %s}}}`, kind, pod))
	}
	texts = append(texts,
		`{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", "namespace": "default"}, "spec": {"template": {"spec": `+pod+`}}}`,
		`{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": `+pod+`}}}}}`,
		`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}`,
		`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "secrets"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "delete"]}]}`,
		`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "admin"},
			"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "User", "name": "system:anonymous"}]}`,
		`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a"}, "data": {"password": "not-a-real-one"}}`,
		`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "a"}, "spec": {"externalIPs": ["192.0.2.1"]}}`,
		`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}`,
	)
	var all []Object
	for i, text := range texts {
		all = append(all, Object{ID: fmt.Sprintf("object-%02d", i), Content: json.RawMessage(text)})
	}
	return all
}

// TestSameAsTrivy compares with what Trivy's own scanner finds in the same files.
func TestSameAsTrivy(t *testing.T) {
	dir := t.TempDir()
	for _, object := range objects() {
		if err := os.WriteFile(filepath.Join(dir, object.ID), object.Content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	results, err := kubernetes.NewScanner(checks()...).ScanFS(t.Context(), os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, result := range results.GetFailed() {
		metadata := result.Metadata()
		place := metadata.Range()
		want = append(want, fmt.Sprintln(place.GetLocalFilename(), result.Rule().ID, result.Severity(), result.Description()))
	}
	response, err := Scan(t.Context(), &Request{Objects: objects()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range response.Findings {
		got = append(got, fmt.Sprintln(f.Object, f.Check, f.Severity, f.Message))
	}
	for _, list := range []*[]string{&want, &got} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if len(response.Failed) > 0 || len(got) < 100 {
		t.Errorf("%d findings, failed: %+v", len(got), response.Failed)
	}
	if !slices.Equal(got, want) {
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("only here: %s", line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("only Trivy: %s", line)
			}
		}
	}
}

// bucket is a Terraform tree in which Trivy finds something.
func bucket() []File {
	return []File{
		{"envs/a/main.tf", "module \"state\" {\n  source = \"../../modules/state\"\n}\n"},
		{"modules/state/main.tf", "resource \"aws_s3_bucket\" \"state\" {\n  bucket = \"state\"\n}\n"},
	}
}

// TestSameAsTrivyInTerraform compares the findings in a Terraform tree.
func TestSameAsTrivyInTerraform(t *testing.T) {
	dir := t.TempDir()
	for _, file := range bucket() {
		name := filepath.Join(dir, filepath.FromSlash(file.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(file.Content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	results, err := terraform.New(append(checks(), terraform.ScannerWithAllDirectories(true))...).ScanFS(t.Context(), os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, result := range results.GetFailed() {
		metadata := result.Metadata()
		place := metadata.Range()
		want = append(want, fmt.Sprintln(place.GetLocalFilename(), place.GetStartLine(), result.Rule().ID))
	}
	response, err := Scan(t.Context(), &Request{Files: bucket()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range response.Findings {
		got = append(got, fmt.Sprintln(f.Path, f.Line, f.Check))
	}
	for _, list := range []*[]string{&want, &got} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if len(got) == 0 || !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, ""), strings.Join(want, ""))
	}
}

// TestHostile asks about what is no object, beside one that is.
func TestHostile(t *testing.T) {
	good := objects()[0]
	hostile := map[string]string{
		"null": "null", "list": "[]", "text": `"text"`, "empty": "{}", "number": "7", "kind": `{"kind": 7}`, "nulls": `{"kind": "Pod", "spec": null, "metadata": null}`,
		"shape": `{"apiVersion": 7, "kind": "Pod", "metadata": [], "spec": {"containers": {"a": [1, null]}}}`,
		"deep":  `{"kind": "Pod", "spec": ` + strings.Repeat(`{"a":[`, 3000) + strings.Repeat(`]}`, 3000) + `}`,
		"long":  `{"kind": "ConfigMap", "data": {"a": "` + strings.Repeat("x", 1<<20) + `"}}`,
		"names": `{"kind": "Deployment", "metadata": {"name": "\u0000\u001b[31m../../etc"}, "spec": {"template": {"spec": {"containers": [{}]}}}}`,
	}
	request := &Request{Objects: []Object{good}}
	for id, content := range hostile {
		request.Objects = append(request.Objects, Object{ID: id, Content: json.RawMessage(content)})
	}
	request.Files = []File{{"a.tf", "resource {{{"}, {"b.tf", "module \"m\" {\n  source = \"git::https://192.0.2.1/none\"\n}\n"}}
	response, err := Scan(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(response.Findings, func(f Finding) bool { return f.Object == good.ID && f.Check == "KSV-0017" }) {
		t.Error("the good object was not scanned")
	}
	for _, id := range []string{"null", "list", "text", "empty", "number", "kind"} {
		if !slices.ContainsFunc(response.Failed, func(f Failure) bool { return f.Object == id && f.Reason != "" }) {
			t.Errorf("%s: not said to have failed", id)
		}
	}
	response, err = Scan(t.Context(), &Request{Files: []File{{"../outside.tf", ""}}})
	if err != nil || len(response.Failed) != 1 {
		t.Errorf("a path outside: %+v, %v", response, err)
	}
}

// FuzzScan looks for panics that end the program.
func FuzzScan(f *testing.F) {
	for _, object := range objects() {
		f.Add([]byte(object.Content))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		if _, _, err := parse(Object{ID: "fuzz", Content: data}); err != nil {
			return
		}
	})
}
