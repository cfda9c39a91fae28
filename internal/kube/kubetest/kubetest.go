// Package kubetest serves objects as an API server does, for tests.
package kubetest

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Server holds objects in memory. It knows the kinds that archipel reads, and
// those of the CustomResourceDefinitions put into it. It checks nothing, and of
// server-side apply it does the merge only, but refuses an apply without force
// to an object whose annotation kubetest/owner names somebody else.
type Server struct {
	URL  string // https://127.0.0.1:PORT
	http *httptest.Server

	mu       sync.Mutex
	version  int
	objects  map[key]*unstructured.Unstructured
	refused  map[string]int // HTTP status by kind
	hung     map[string]bool
	notReady []string
	changes  []change
	changed  chan struct{} // closed and replaced at each change
	requests []string
	closed   chan struct{}
}

type key struct {
	kind            schema.GroupKind
	namespace, name string
}

type change struct {
	version int
	event   string
	object  *unstructured.Unstructured
}

type kind struct {
	schema.GroupVersionKind
	plural     string
	namespaced bool
}

// Start starts a server that stops with the test.
func Start(t testing.TB, objects ...*unstructured.Unstructured) *Server {
	s := &Server{
		objects: map[key]*unstructured.Unstructured{},
		refused: map[string]int{}, hung: map[string]bool{},
		changed: make(chan struct{}), closed: make(chan struct{}),
	}
	for _, object := range objects {
		s.Put(object)
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.EnableHTTP2 = true
	// A client that refuses the certificate is part of some tests.
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.StartTLS()
	s.URL = s.http.URL
	t.Cleanup(s.Stop)
	return s
}

// Stop stops the server, as a crash would. Calling it again does nothing.
func (s *Server) Stop() {
	s.mu.Lock()
	select {
	case <-s.closed:
		s.mu.Unlock()
		return
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Kubeconfig writes a file with one context for the server and returns its
// path.
func (s *Server) Kubeconfig(t testing.TB, context string) string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	config := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": context,
		"clusters": []any{map[string]any{"name": context, "cluster": map[string]any{"server": s.URL, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": context, "user": map[string]any{"token": "test"}}},
		"contexts": []any{map[string]any{"name": context, "context": map[string]any{"cluster": context, "user": context}}},
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Put adds or replaces an object.
func (s *Server) Put(object *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(object.DeepCopy())
}

func (s *Server) put(object *unstructured.Unstructured) *unstructured.Unstructured {
	k := keyOf(object)
	event := "ADDED"
	if _, known := s.objects[k]; known {
		event = "MODIFIED"
	}
	if object.GetKind() == "CustomResourceDefinition" {
		_ = unstructured.SetNestedSlice(object.Object, []any{
			map[string]any{"type": "NamesAccepted", "status": "True"},
			map[string]any{"type": "Established", "status": "True"},
		}, "status", "conditions")
	}
	s.record(event, object)
	s.objects[k] = object
	return object
}

// Remove deletes an object.
func (s *Server) Remove(kind schema.GroupKind, namespace, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{kind, namespace, name}
	object, ok := s.objects[k]
	if ok {
		delete(s.objects, k)
		s.record("DELETED", object.DeepCopy())
	}
	return ok
}

func (s *Server) record(event string, object *unstructured.Unstructured) {
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	s.changes = append(s.changes, change{s.version, event, object.DeepCopy()})
	close(s.changed)
	s.changed = make(chan struct{})
}

// Refuse answers requests for a kind with an HTTP status: 403, 404, 500; 0
// answers them again.
func (s *Server) Refuse(kind string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[kind] = status
}

// Hang never answers requests for a kind; "" means any request.
func (s *Server) Hang(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung[kind] = true
}

// NotReady lets /readyz fail with these checks.
func (s *Server) NotReady(checks ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notReady = checks
}

// Requests lists method and path of each request so far.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Objects reads objects from YAML documents.
func Objects(t testing.TB, data []byte) []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatalf("reading test objects: %v\n%s", err, document)
		}
		if object.GetKind() != "" {
			all = append(all, normal(t, object))
		}
	}
	return all
}

// normal gives numbers the types that JSON from an API server gets.
func normal(t testing.TB, object *unstructured.Unstructured) *unstructured.Unstructured {
	data, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	object.Object = nil
	// Unstructured's own decoder insists on apiVersion, which patches lack.
	if err := decodeNumbers(data, &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

func decodeNumbers(data []byte, into *map[string]any) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	var fix func(v any) any
	fix = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			if n, err := v.Int64(); err == nil {
				return n
			}
			f, _ := v.Float64()
			return f
		case map[string]any:
			for key := range v {
				v[key] = fix(v[key])
			}
		case []any:
			for i := range v {
				v[i] = fix(v[i])
			}
		}
		return v
	}
	fix(*into)
	return nil
}

func keyOf(object *unstructured.Unstructured) key {
	return key{object.GroupVersionKind().GroupKind(), object.GetNamespace(), object.GetName()}
}

// kinds lists what the server serves now.
func (s *Server) kinds() []kind {
	var all []kind
	add := func(group, version string, namespaced bool, names ...string) {
		for _, name := range names {
			plural := strings.ToLower(name) + "s"
			if stem, ok := strings.CutSuffix(plural, "ys"); ok {
				plural = stem + "ies"
			}
			all = append(all, kind{schema.GroupVersionKind{Group: group, Version: version, Kind: name}, plural, namespaced})
		}
	}
	add("", "v1", false, "Node", "Namespace")
	add("", "v1", true, "Pod", "Secret", "ConfigMap", "Service", "ServiceAccount")
	add("apps", "v1", true, "Deployment", "DaemonSet", "StatefulSet")
	add("apiextensions.k8s.io", "v1", false, "CustomResourceDefinition")
	add("source.toolkit.fluxcd.io", "v1", true, "GitRepository", "OCIRepository", "HelmRepository", "HelmChart")
	add("kustomize.toolkit.fluxcd.io", "v1", true, "Kustomization")
	add("helm.toolkit.fluxcd.io", "v2", true, "HelmRelease")
	for k, object := range s.objects {
		if k.kind.Kind != "CustomResourceDefinition" {
			continue
		}
		var crd struct {
			Spec struct {
				Group, Scope string
				Names        struct{ Kind, Plural string }
				Versions     []struct{ Name string }
			}
		}
		data, _ := json.Marshal(object.Object)
		_ = json.Unmarshal(data, &crd)
		for _, v := range crd.Spec.Versions {
			all = append(all, kind{schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}, crd.Spec.Names.Plural, crd.Spec.Scope == "Namespaced"})
		}
	}
	return all
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	hung, notReady, kinds := s.hung[""], s.notReady, s.kinds()
	s.mu.Unlock()
	if hung {
		s.hang(r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer test" {
		fail(w, http.StatusUnauthorized, "Unauthorized", "", "")
		return
	}
	switch r.URL.Path {
	case "/version":
		reply(w, map[string]any{"major": "1", "minor": "36", "gitVersion": "v1.36.4+k3s1"})
		return
	case "/readyz":
		if len(notReady) > 0 {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintln(w, "[+]ping ok")
			for _, check := range notReady {
				fmt.Fprintf(w, "[-]%s failed: reason withheld\n", check)
			}
			fmt.Fprintln(w, "readyz check failed")
			return
		}
		fmt.Fprint(w, "ok")
		return
	}
	s.resource(w, r, kinds)
}

func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

// resource answers below /api and /apis.
func (s *Server) resource(w http.ResponseWriter, r *http.Request, kinds []kind) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var version schema.GroupVersion
	switch {
	case len(part) >= 2 && part[0] == "api":
		version, part = schema.GroupVersion{Version: part[1]}, part[2:]
	case len(part) >= 3 && part[0] == "apis":
		version, part = schema.GroupVersion{Group: part[1], Version: part[2]}, part[3:]
	default:
		http.NotFound(w, r)
		return
	}
	if len(part) == 0 {
		discovery(w, r, version, kinds)
		return
	}
	namespace := ""
	if len(part) >= 3 && part[0] == "namespaces" {
		namespace, part = part[1], part[2:]
	}
	var k kind
	for _, known := range kinds {
		if known.GroupVersion() == version && known.plural == part[0] {
			k = known
		}
	}
	s.mu.Lock()
	status, hung := s.refused[k.Kind], s.hung[k.Kind]
	s.mu.Unlock()
	switch {
	case k.Kind == "" || status == http.StatusNotFound:
		// What the real one writes for a path that nobody serves.
		http.Error(w, "404 page not found", http.StatusNotFound)
	case hung:
		s.hang(r)
	case status != 0:
		fail(w, status, fmt.Sprintf("%s is forbidden: User \"test\" cannot list resource %q", k.plural, k.plural), k.plural, "")
	case len(part) == 1 && r.URL.Query().Get("watch") != "":
		s.watch(w, r, k, namespace)
	case len(part) == 1:
		s.list(w, r, k, namespace)
	default:
		s.one(w, r, k, namespace, part[1])
	}
}

func discovery(w http.ResponseWriter, r *http.Request, version schema.GroupVersion, kinds []kind) {
	list := metav1.APIResourceList{GroupVersion: version.String()}
	list.Kind, list.APIVersion = "APIResourceList", "v1"
	for _, k := range kinds {
		if k.GroupVersion() == version {
			list.APIResources = append(list.APIResources,
				metav1.APIResource{Name: k.plural, Kind: k.Kind, Namespaced: k.namespaced, Verbs: metav1.Verbs{"get", "list"}},
				metav1.APIResource{Name: k.plural + "/status", Kind: k.Kind, Namespaced: k.namespaced, Verbs: metav1.Verbs{"get"}})
		}
	}
	if len(list.APIResources) == 0 {
		http.NotFound(w, r)
		return
	}
	reply(w, list)
}

// selected tells whether a list or watch asks for an object.
func selected(r *http.Request, k kind, namespace string, object *unstructured.Unstructured) bool {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	name, named := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	return err == nil && object.GroupVersionKind().GroupKind() == k.GroupKind() &&
		(namespace == "" || object.GetNamespace() == namespace) &&
		(!named || object.GetName() == name) &&
		selector.Matches(labels.Set(object.GetLabels()))
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, k kind, namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []any{}
	var found []*unstructured.Unstructured
	for _, object := range s.objects {
		if selected(r, k, namespace, object) {
			found = append(found, object)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	for _, object := range found {
		item := object.DeepCopy().Object
		if !strings.Contains(k.Group, "fluxcd.io") {
			// Kinds that are built in come without these in a list.
			delete(item, "kind")
			delete(item, "apiVersion")
		}
		items = append(items, item)
	}
	reply(w, map[string]any{
		"kind": k.Kind + "List", "apiVersion": k.GroupVersion().String(),
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, k kind, namespace string) {
	seen, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		s.mu.Lock()
		next, changed := slices.Clone(s.changes), s.changed
		s.mu.Unlock()
		for _, c := range next {
			if c.version > seen && selected(r, k, namespace, c.object) {
				_ = json.NewEncoder(w).Encode(map[string]any{"type": c.event, "object": c.object.Object})
			}
			seen = max(seen, c.version)
		}
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
}

func (s *Server) one(w http.ResponseWriter, r *http.Request, k kind, namespace, name string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	id := key{k.GroupKind(), namespace, name}
	if r.Method == http.MethodDelete {
		if !s.Remove(id.kind, namespace, name) {
			notFound(w, k, name)
			return
		}
		reply(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Success"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	object, exists := s.objects[id]
	apply := strings.Contains(r.Header.Get("Content-Type"), "apply-patch")
	switch {
	case !exists && !apply:
		notFound(w, k, name)
		return
	case r.Method == http.MethodGet:
		reply(w, object.Object)
		return
	case r.Method != http.MethodPatch:
		fail(w, http.StatusMethodNotAllowed, "the server does not allow this method", k.plural, name)
		return
	}
	var patch map[string]any
	if err := yaml.Unmarshal(body, &patch); err != nil {
		fail(w, http.StatusBadRequest, err.Error(), k.plural, name)
		return
	}
	if err := s.admit(r, k, namespace, object, apply); err != nil {
		fail(w, err.status, err.Error(), err.plural, err.name)
		return
	}
	base := map[string]any{}
	if exists {
		base = object.DeepCopy().Object
	}
	data, _ := json.Marshal(Merge(base, patch))
	merged := &unstructured.Unstructured{}
	if err := decodeNumbers(data, &merged.Object); err != nil {
		fail(w, http.StatusBadRequest, err.Error(), k.plural, name)
		return
	}
	reply(w, s.put(merged).Object)
}

type refusal struct {
	error
	status       int
	plural, name string
}

func (s *Server) admit(r *http.Request, k kind, namespace string, object *unstructured.Unstructured, apply bool) *refusal {
	if !apply {
		return nil
	}
	if r.URL.Query().Get("fieldManager") == "" {
		return &refusal{errors.New("fieldManager is required for apply patch"), http.StatusUnprocessableEntity, k.plural, ""}
	}
	if object != nil && object.GetAnnotations()["kubetest/owner"] != "" && r.URL.Query().Get("force") != "true" {
		return &refusal{fmt.Errorf("apply failed with 1 conflict: conflict with %q", object.GetAnnotations()["kubetest/owner"]), http.StatusConflict, k.plural, object.GetName()}
	}
	if _, exists := s.objects[key{schema.GroupKind{Kind: "Namespace"}, "", namespace}]; k.namespaced && !exists {
		return &refusal{fmt.Errorf("namespaces %q not found", namespace), http.StatusNotFound, "namespaces", namespace}
	}
	return nil
}

// Merge applies a JSON merge patch (RFC 7386) and returns base.
func Merge(base, patch map[string]any) map[string]any {
	for field, value := range patch {
		inner, isMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(base, field)
		case isMap:
			old, _ := base[field].(map[string]any)
			if old == nil {
				old = map[string]any{}
			}
			base[field] = Merge(old, inner)
		default:
			base[field] = value
		}
	}
	return base
}

func notFound(w http.ResponseWriter, k kind, name string) {
	fail(w, http.StatusNotFound, fmt.Sprintf("%s %q not found", k.plural, name), k.plural, name)
}

// fail answers with a Status about an object of a kind, or about the kind.
func fail(w http.ResponseWriter, code int, message, plural, name string) {
	reasons := map[int]metav1.StatusReason{
		http.StatusUnauthorized: metav1.StatusReasonUnauthorized, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusConflict: metav1.StatusReasonConflict,
	}
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   "Failure", Message: message, Reason: reasons[code], Code: int32(code),
	}
	if plural != "" {
		status.Details = &metav1.StatusDetails{Kind: plural, Name: name}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(status)
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
