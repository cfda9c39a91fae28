package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/render"
	"archipel/internal/tool"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const fluxNamespace = "flux-system"

// fluxManager is the field manager of Flux's kustomize-controller. What the lab
// applies in its place belongs to it from the start.
const fluxManager = "kustomize-controller"

// pollInterval is how often a starting program is asked whether it is ready.
const pollInterval = 100 * time.Millisecond

// raise starts what does not run yet at one site and hands the site to Flux.
func (l *Lab) raise(ctx context.Context, s layout, repository fs.FS, secrets *Secrets, report func(string)) error {
	for _, dir := range []string{"log", "tmp", "tmp/source", "tmp/kustomize", "tmp/helm", "tmp/notification", "artifacts"} {
		if err := os.MkdirAll(s.file(dir), 0o700); err != nil {
			return fmt.Errorf("making the folders of %s: %w", s.site.Name, err)
		}
	}
	for _, user := range controlPlaneUsers() {
		config, err := kubeconfig([]kubeconfigContext{{name: s.site.Name, server: s.server(), pki: s.pki, user: user.name}})
		if err != nil {
			return err
		}
		if err := writeFile(s.kubeconfigFile(user.name), config); err != nil {
			return err
		}
	}
	cluster, err := kube.Open(kube.Config{Paths: []string{s.kubeconfigFile("admin")}, Context: s.site.Name})
	if err != nil {
		return err
	}
	defer cluster.Close()

	report("starting etcd and kube-apiserver")
	if err := l.start(s, "etcd", "kube-apiserver"); err != nil {
		return err
	}
	if err := l.awaitAPI(ctx, s, cluster, report); err != nil {
		return err
	}
	if err := l.start(s, "kube-controller-manager", "kube-scheduler"); err != nil {
		return err
	}
	report("applying nodes and the definitions of Flux and Cilium")
	definitions, err := s.programs.definitions()
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := cluster.ApplyAll(groupCtx, nodes(s), kube.ApplyOptions{Force: true})
		if err != nil {
			return err
		}
		return cluster.ApplyAll(groupCtx, nodes(s), kube.ApplyOptions{Force: true, Status: true})
	})
	group.Go(func() error { return cluster.ApplyAll(groupCtx, definitions, kube.ApplyOptions{Force: true}) })
	if err := group.Wait(); err != nil {
		return l.explain(s, err, "kube-apiserver", "etcd")
	}
	report("starting Flux")
	fluxControllers := []string{"notification-controller", "source-controller", "kustomize-controller", "helm-controller"}
	if err := l.start(s, append([]string{"kwok"}, fluxControllers...)...); err != nil {
		return err
	}
	if err := l.applySync(ctx, s, cluster, repository, secrets); err != nil {
		return l.explain(s, err, "kube-apiserver", "etcd")
	}
	for _, name := range fluxControllers {
		report("waiting for " + name)
		if err := l.awaitReady(ctx, s, name); err != nil {
			return err
		}
	}
	return nil
}

// start starts components that do not run with the command line they should
// have. What runs with another one is stopped first.
func (l *Lab) start(s layout, components ...string) error {
	running, err := l.Processes()
	if err != nil {
		return err
	}
	for _, name := range components {
		if _, err := startProgram(s.component(name), s.address, running); err != nil {
			return fmt.Errorf("site %s: %w", s.site.Name, err)
		}
	}
	return nil
}

func startProgram(p program, address netip.Addr, running []tool.Process) (started bool, err error) {
	var stale []tool.Process
	for _, process := range running {
		if process.Name != p.daemon.Name {
			continue
		}
		if slices.Equal(process.Args, append([]string{p.daemon.Path}, p.daemon.Args...)) {
			return false, nil
		}
		stale = append(stale, process)
	}
	if err := tool.Stop(stale, 0); err != nil {
		return false, err
	}
	for _, port := range p.ports {
		if err := checkPort(netip.AddrPortFrom(address, uint16(port)), p.daemon.Name); err != nil {
			return false, err
		}
	}
	if len(p.enter) > 0 {
		enter, err := tool.Find(p.enter[0])
		if err != nil {
			return false, err
		}
		p.daemon.Args = slices.Concat(p.enter[1:], []string{p.daemon.Path}, p.daemon.Args)
		p.daemon.Path = enter
	}
	_, err = tool.Start(p.daemon)
	return err == nil, err
}

// awaitAPI waits until the API server serves, or one of the two has died.
func (l *Lab) awaitAPI(ctx context.Context, s layout, cluster *kube.Cluster, report func(string)) error {
	return l.await(ctx, s, []string{"etcd", "kube-apiserver"}, func(ctx context.Context) error {
		err := cluster.Ready(ctx)
		if err != nil {
			report("waiting for kube-apiserver: " + shortened(err))
		}
		return err
	})
}

func (l *Lab) awaitReady(ctx context.Context, s layout, component string) error {
	url := s.url(s.component(component).ready) + "/readyz"
	return l.await(ctx, s, []string{component}, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

// startTimeout is far more than any of the programs took on two busy cores.
const startTimeout = 3 * time.Minute

// await asks until ready says so. It fails at once when one of the components dies.
func (l *Lab) await(ctx context.Context, s layout, components []string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("%s of %s is not ready after %s", components[len(components)-1], s.site.Name, startTimeout))
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		attempt, stop := context.WithTimeout(ctx, 5*time.Second)
		err := ready(attempt)
		stop()
		if err == nil {
			return nil
		}
		if death := l.died(s, components); death != nil {
			return death
		}
		select {
		case <-ctx.Done():
			return l.explain(s, context.Cause(ctx), components...)
		case <-ticker.C:
		}
	}
}

// DeadError is a program of the lab that ended when it should run.
type DeadError struct {
	Site, Component, Log string
	Last                 []string // lines of its log
}

func (e *DeadError) Error() string {
	name := e.Component
	if e.Site != "" {
		name += " of " + e.Site
	}
	return fmt.Sprintf("%s ended; its log %s says:\n  %s", name, e.Log, strings.Join(e.Last, "\n  "))
}

// died returns the error of the first component that does not run, or nil.
func (l *Lab) died(s layout, components []string) error {
	running, err := l.Processes()
	if err != nil {
		return err
	}
	for _, name := range components {
		daemon := s.component(name).daemon
		if !slices.ContainsFunc(running, func(p tool.Process) bool { return p.Name == daemon.Name }) {
			return &DeadError{Site: s.site.Name, Component: name, Log: daemon.Log, Last: lastWords(daemon.Log, 5)}
		}
	}
	return nil
}

// Died returns a *DeadError when a program of a site does not run that should.
func (l *Lab) Died(site string) error {
	dead, err := l.Dead(site)
	if err != nil || len(dead) == 0 || dead[0].Host { // a site outlives some of its hosts
		return err
	}
	first := dead[0]
	return &DeadError{Site: site, Component: first.Component, Log: first.Log, Last: lastWords(first.Log, 5)}
}

// explain returns the death of a component as the reason for err where there is one.
func (l *Lab) explain(s layout, err error, components ...string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if death := l.died(s, components); death != nil {
		return death
	}
	return fmt.Errorf("site %s: %w", s.site.Name, err)
}

// applySync gives the site its first objects: the identity that opens its
// secrets, the facts, the Git repository and the Kustomization to begin with.
// Flux itself applies everything else, these included.
func (l *Lab) applySync(ctx context.Context, s layout, cluster *kube.Cluster, repository fs.FS, secrets *Secrets) error {
	objects, err := l.firstSecrets(s.site.Name, secrets)
	if err != nil {
		return err
	}
	root, err := render.Root(repository, s.site.Name)
	if err != nil {
		return err
	}
	for _, object := range root {
		switch object.GetKind() {
		case "ConfigMap":
			objects = append(objects, object)
		case "GitRepository", "Kustomization":
			if object.GetName() == fluxNamespace {
				objects = append(objects, object)
			}
		}
	}
	return cluster.ApplyAll(ctx, objects, kube.ApplyOptions{Force: true, Manager: fluxManager})
}

// nodes returns the Node objects of a site, as k3s would register them.
func nodes(s layout) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, node := range s.site.Nodes {
		labels := map[string]any{
			"kubernetes.io/hostname":           node.Name,
			"kubernetes.io/os":                 "linux",
			"kubernetes.io/arch":               "amd64",
			"node.kubernetes.io/instance-type": "k3s",
			"topology.kubernetes.io/zone":      s.site.Name,
		}
		if node.Role == fleet.RoleServer {
			labels["node-role.kubernetes.io/control-plane"] = "true"
			labels["node-role.kubernetes.io/etcd"] = "true"
		}
		objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1",
			"kind":       "Node",
			"metadata":   map[string]any{"name": node.Name, "labels": labels},
			"status": map[string]any{
				"addresses": []any{
					map[string]any{"type": "InternalIP", "address": node.Address.String()},
					map[string]any{"type": "Hostname", "address": node.Name},
					map[string]any{"type": "InternalDNS", "address": s.address.String()},
				},
				// What kwok does not find here it fills in with its own name and version.
				"nodeInfo": map[string]any{
					"architecture": "amd64", "operatingSystem": "linux", "osImage": "simulated by kwok",
					"kubeletVersion": s.site.Facts.K3sVersion, "kubeProxyVersion": "",
					"kernelVersion": "", "containerRuntimeVersion": "", "machineID": "", "systemUUID": "", "bootID": "",
				},
			},
		}})
	}
	return objects
}

// shortened keeps the first of the checks that an API server fails while it starts.
func shortened(err error) string {
	first, rest, _ := strings.Cut(strings.ReplaceAll(err.Error(), "\n", " "), ", ")
	if rest != "" {
		first += fmt.Sprintf(" and %d more", strings.Count(rest, ", ")+1)
	}
	return first
}
