package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"archipel/lab/internal/k3s/api"
	"archipel/lab/internal/k3s/child"
	"archipel/lab/internal/k3s/node"
)

func decode(text string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	return string(data), err
}

// allowSimulators lets nodes do what kwok does and the kubelet does not: list
// nodes and watch leases. All else is what Kubernetes lets a kubelet do.
func (s *server) allowSimulators(ctx context.Context) error {
	const name, group, leases = "archipel-lab:kwok", "rbac.authorization.k8s.io", "kube-node-lease"
	for _, grant := range []struct{ prefix, namespace, group, resource string }{
		{"Cluster", "", "", "nodes"},
		{"", leases, "coordination.k8s.io", "leases"},
	} {
		path, metadata := "/apis/"+group+"/v1/", api.Object{"name": name}
		if grant.namespace != "" {
			path += "namespaces/" + grant.namespace + "/"
			metadata["namespace"] = grant.namespace
		}
		kind := strings.ToLower(grant.prefix)
		role := api.Object{
			"apiVersion": group + "/v1", "kind": grant.prefix + "Role", "metadata": metadata,
			"rules": []any{api.Object{
				"apiGroups": []any{grant.group}, "resources": []any{grant.resource}, "verbs": []any{"get", "list", "watch"},
			}},
		}
		binding := api.Object{
			"apiVersion": group + "/v1", "kind": grant.prefix + "RoleBinding", "metadata": metadata,
			"roleRef":  api.Object{"apiGroup": group, "kind": grant.prefix + "Role", "name": name},
			"subjects": []any{api.Object{"apiGroup": group, "kind": "Group", "name": "system:nodes"}},
		}
		if err := s.client.Apply(ctx, path+kind+"roles/"+name, "k3s", role); err != nil {
			return err
		}
		if err := s.client.Apply(ctx, path+kind+"rolebindings/"+name, "k3s", binding); err != nil {
			return err
		}
	}
	return nil
}

// Labels and annotations of servers.
const (
	labelControlPlane = "node-role.kubernetes.io/control-plane"
	labelEtcd         = "node-role.kubernetes.io/etcd"
	annotationMember  = "etcd.k3s.cattle.io/node-name"
)

// markNode gives the node of this server what no node may give itself.
func (s *server) markNode(ctx context.Context) error {
	now := time.Now().UTC().Format(time.RFC3339)
	_, err := s.client.Patch(ctx, s.node.Path(), api.MergePatch, api.Object{"metadata": api.Object{
		"labels":      api.Object{labelControlPlane: "true", labelEtcd: "true"},
		"annotations": api.Object{annotationMember: s.member, "etcd.k3s.cattle.io/node-address": s.address},
	}})
	if err != nil {
		return err
	}
	_, err = s.client.Patch(ctx, s.node.Path()+"/status", api.StrategicPatch, api.Object{"status": api.Object{"conditions": []any{
		api.Object{
			"type": "EtcdIsVoter", "status": "True", "reason": "MemberNotLearner", "message": "Node is a voting member of the etcd cluster",
			"lastHeartbeatTime": now, "lastTransitionTime": now,
		},
	}}})
	return err
}

// watchNodes cleans up after nodes that were deleted: the password of the host,
// and the member of etcd that ran on a server.
func (s *server) watchNodes(ctx context.Context) {
	type known struct{ name, member string }
	seen := map[string]known{}
	for wait := time.Duration(0); node.Sleep(ctx, wait) == nil; wait = pollInterval {
		nodes, err := s.client.Items(ctx, "/api/v1/nodes")
		if err != nil {
			continue // the API server says so itself
		}
		now := map[string]known{}
		names := map[string]bool{}
		for _, n := range nodes {
			name := api.String(n, "metadata", "name")
			now[api.String(n, "metadata", "uid")] = known{name, api.String(n, "metadata", "annotations", annotationMember)}
			names[name] = true
		}
		for uid, gone := range seen {
			if _, stays := now[uid]; stays {
				continue
			}
			if err := s.forget(ctx, gone.name, gone.member, names[gone.name]); err != nil {
				s.say("cleaning up after the node %s: %v", gone.name, err)
				now[uid] = gone // the next time
			}
		}
		seen = now
	}
}

func (s *server) forget(ctx context.Context, name, member string, again bool) error {
	if !again {
		if err := s.client.Delete(ctx, secretsPath+"/"+passwordSecret(name)); err != nil {
			return err
		}
	}
	if member == "" {
		return nil
	}
	if again && member == s.member {
		return nil // this very server registered again
	}
	s.say("the node %s was deleted: removing %s from etcd", name, member)
	return s.store.Remove(ctx, member)
}

const fluxNamespace = "flux-system"

// pollInterval is how often a server looks whether it should run something.
const pollInterval = 2 * time.Second

// leads says whether this server is the one that stands in for the cluster's
// pods: the first, by age, whose node is heard of.
func (s *server) leads(ctx context.Context) bool {
	servers, err := s.client.Items(ctx, "/api/v1/nodes?labelSelector="+labelControlPlane)
	if err != nil {
		return false
	}
	servers = slices.DeleteFunc(servers, func(n api.Object) bool {
		status := node.Condition(n, "Ready")
		return status != "True" && status != "False"
	})
	key := func(n api.Object) string {
		return api.String(n, "metadata", "creationTimestamp") + api.String(n, "metadata", "name")
	}
	slices.SortFunc(servers, func(a, b api.Object) int { return strings.Compare(key(a), key(b)) })
	return len(servers) > 0 && api.String(servers[0], "metadata", "name") == s.node.Name
}

// wantedFlux returns the names of Flux's Deployments that have replicas, when
// this server is to run them.
func (s *server) wantedFlux(ctx context.Context) ([]string, error) {
	deployments, err := s.client.Items(ctx, "/apis/apps/v1/namespaces/"+fluxNamespace+"/deployments")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range deployments {
		if replicas, _ := api.Field(d, "spec", "replicas").(float64); replicas > 0 {
			names = append(names, api.String(d, "metadata", "name"))
		}
	}
	if len(names) == 0 || !s.leads(ctx) {
		return nil, nil
	}
	own, err := s.client.Get(ctx, s.node.Path())
	if err != nil || node.Condition(own, "Ready") != "True" {
		return nil, err // a pod would wait for the network, too
	}
	return names, nil
}

// runFlux runs those of Flux's controllers whose Deployment is there, and
// starts them again when they die.
func (s *server) runFlux(ctx context.Context) {
	running := map[string]*child.Child{}
	defer func() {
		for _, c := range running {
			c.Stop(0)
		}
	}()
	for node.Sleep(ctx, pollInterval) == nil {
		wanted, err := s.wantedFlux(ctx)
		if err != nil {
			continue // the API server says so itself
		}
		for _, controller := range s.fluxControllers() {
			c, want := running[controller.name], slices.Contains(wanted, controller.name)
			if c != nil {
				select {
				case <-c.Done():
					s.say("%v", c.Err())
					delete(running, controller.name)
					continue // starts again after a pause
				default:
				}
			}
			switch {
			case want && c == nil:
				s.say("starting %s, as its Deployment asks", controller.name)
				if err := s.makeFolders("agent/flux/"+controller.name, "agent/flux/artifacts"); err != nil {
					s.say("%v", err)
					continue
				}
				if c, err = s.runner.Start(controller.spec); err != nil {
					s.say("%v", err)
					continue
				}
				running[controller.name] = c
			case !want && c != nil:
				s.say("stopping %s", controller.name)
				c.Stop(5 * time.Second)
				delete(running, controller.name)
			}
		}
	}
}

// installCilium makes the definitions of Cilium once its operator has a
// Deployment: the operator makes them itself, where pods run.
func (s *server) installCilium(ctx context.Context) {
	for node.Sleep(ctx, pollInterval) == nil {
		if _, err := s.client.Get(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/cilium-operator"); err != nil {
			continue
		}
		if !s.leads(ctx) {
			continue
		}
		if err := s.applyCilium(ctx); err != nil {
			s.say("making the definitions of Cilium: %v", err)
			continue
		}
		s.say("made the definitions of Cilium, as its operator would")
		return
	}
}

func (s *server) applyCilium(ctx context.Context) error {
	data, err := os.ReadFile(s.programs.Dir + "/definitions/all.json")
	if err != nil {
		return err
	}
	var definitions []api.Object
	if err := json.Unmarshal(data, &definitions); err != nil {
		return err
	}
	for _, definition := range definitions {
		if api.String(definition, "spec", "group") != "cilium.io" {
			continue
		}
		name := api.String(definition, "metadata", "name")
		path := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + name
		if err := s.client.Apply(ctx, path, "cilium-operator-generic", definition); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
