package diff

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"archipel/internal/render"
)

// dangers says why to look twice at a change of an object. before is nil for
// what is created, after for what is gone.
func dangers(change Change, before, after *render.Object) []string {
	o := after
	if o == nil {
		o = before
	}
	var reasons []string
	if change.Action == Deleted && !o.Origin.Hook {
		if reason := deletion(o); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	if o.GetKind() == "Secret" && o.GetNamespace() == "kube-system" && o.GetName() == "cilium-ca" {
		reasons = append(reasons, "the mesh's certificate authority: sites that do not hold the same one lose one another")
	}
	if layer := networkLayer(o); layer != "" && !change.Quiet {
		reasons = append(reasons, "the network layer ("+layer+"): a mistake cuts off the site, Flux included")
	}
	for _, f := range change.Fields {
		if change.Action == Changed || change.Action == Moved {
			reasons = append(reasons, fieldDanger(o, f)...)
		}
	}
	return slices.Compact(reasons)
}

// deletion says what goes with an object that is deleted.
func deletion(o *render.Object) string {
	switch group, kind := o.GroupVersionKind().Group, o.GetKind(); {
	case kind == "CustomResourceDefinition":
		return "the API server deletes every object of the kind that it defines"
	case kind == "Namespace" && group == "":
		return "everything in the namespace is deleted with it"
	case kind == "PersistentVolumeClaim":
		return "its data goes with it, unless the volume's reclaim policy retains it"
	case kind == "PersistentVolume":
		return "the volume is no longer known to the cluster"
	case kind == "StatefulSet":
		return "it holds state: its pods go, and their claims too when persistentVolumeClaimRetentionPolicy says so"
	case kind == "Kustomization" && group == fluxGroup && isTrue(o, "spec", "prune"):
		return "all that it applied is deleted with it"
	case kind == "HelmRelease":
		return "the release is uninstalled"
	case kind == "GitRepository" && o.GetName() == "flux-system":
		return "the site no longer pulls its repository"
	}
	return ""
}

// networkLayer names the part of the network that an object belongs to; empty
// for none. The tree labels it archipel/layer=network; other trees are told by
// the chart and by the group of the object.
func networkLayer(o *render.Object) string {
	group := o.GroupVersionKind().Group
	switch {
	case group == "cilium.io" || strings.HasSuffix(group, ".cilium.io"):
		return "Cilium"
	case group == "metallb.io":
		return "MetalLB"
	}
	release := o.Origin.Release
	if release != nil {
		if part := networkChart(release.Chart.Name); part != "" {
			return part
		}
	}
	if o.GetKind() == "HelmRelease" {
		spec, _ := o.Object["spec"].(map[string]any)
		chart, _ := spec["chart"].(map[string]any)
		chartSpec, _ := chart["spec"].(map[string]any)
		name, _ := chartSpec["chart"].(string)
		if part := networkChart(name); part != "" {
			return part
		}
	}
	if o.GetLabels()["archipel/layer"] == "network" {
		return o.GetName()
	}
	at := o.Origin.Kustomization
	if release != nil && release.Object != nil {
		at = release.Object.Origin.Kustomization
	}
	for depth := 0; at != nil && depth <= maxDepth; depth++ {
		if at.Object != nil && at.Object.GetLabels()["archipel/layer"] == "network" {
			return at.Name
		}
		at = at.Parent
	}
	return ""
}

func networkChart(name string) string {
	switch name[strings.LastIndex(name, "/")+1:] {
	case "cilium":
		return "Cilium"
	case "metallb":
		return "MetalLB"
	}
	return ""
}

// What a setting of Cilium is about, by its name in the chart's values and in
// the ConfigMap cilium-config.
var (
	identitySetting   = regexp.MustCompile(`(?i)(^|[^a-z])cluster[-.]?(id|name)$`)
	encryptionSetting = regexp.MustCompile(`(?i)encrypt|wireguard|ipsec`)
	datapathSetting   = regexp.MustCompile(`(?i)routing-?mode|tunnel|datapath|kube-?proxy-?replacement|(^|\.)ipam(\.|$)|masquerade|native-?routing|bpf-lb-|direct-?node-?routes`)
	cidrSetting       = regexp.MustCompile(`(?i)cidr`)
)

// fieldDanger says why to look twice at one field.
func fieldDanger(o *render.Object, f Field) []string {
	var reasons []string
	group, kind := o.GroupVersionKind().Group, o.GetKind()
	turnedOn := f.New == true && f.Old != true
	switch {
	case kind == "Kustomization" && group == fluxGroup && f.Path == "spec.prune" && turnedOn:
		reasons = append(reasons, "prune is turned on: what the folder no longer has is deleted from now on")
	case kind == "Kustomization" && group == fluxGroup && f.Path == "spec.deletionPolicy":
		reasons = append(reasons, "deletionPolicy decides what is deleted with the Kustomization")
	case kind == "Kustomization" && group == fluxGroup && (f.Path == "spec.targetNamespace" || f.Path == "spec.path"):
		reasons = append(reasons, "what the former "+strings.TrimPrefix(f.Path, "spec.")+" gave is gone where prune is on")
	case kind == "HelmRelease" && slices.Contains([]string{"spec.releaseName", "spec.targetNamespace", "spec.storageNamespace"}, f.Path):
		reasons = append(reasons, "helm-controller uninstalls the release and installs it anew when "+strings.TrimPrefix(f.Path, "spec.")+" changes")
	case strings.HasPrefix(f.Path, "spec.selector") && slices.Contains([]string{"Service", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"}, kind):
		reasons = append(reasons, "the selector decides which pods belong to it")
	case f.Path == "spec.replicas" && show(f.New) == "0":
		reasons = append(reasons, "it is scaled to zero: nothing of it runs")
	}
	if networkLayer(o) == "Cilium" {
		// The last key says what a setting is about; cluster.id needs the key above it.
		path := f.Path[strings.LastIndex(f.Path, "> ")+1:]
		path = strings.NewReplacer(`["`, ".", `"]`, "").Replace(strings.TrimPrefix(strings.TrimPrefix(path, "data"), "spec.values"))
		path = strings.Trim(path, ". ")
		switch {
		case identitySetting.MatchString(path):
			reasons = append(reasons, "the site's identity in the mesh: every workload must be restarted, and the other sites must agree")
		case encryptionSetting.MatchString(path):
			reasons = append(reasons, "encryption between nodes and sites: there is no mixed mode, traffic is cut until all agree")
		case cidrSetting.MatchString(path):
			reasons = append(reasons, "a network range of the datapath: pods that run keep their old addresses")
		case datapathSetting.MatchString(path):
			reasons = append(reasons, "the datapath: connections are cut while nodes differ")
		}
	}
	return reasons
}

// versionDanger says what is dangerous about another version, in words.
func versionDanger(name, old, fresh string) []string {
	if older(fresh, old) {
		return []string{fmt.Sprintf("%s goes back to an older version, which few programs support", name)}
	}
	return nil
}
