// Package node registers a host as a node of its cluster, as the kubelet would.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"archipel/lab/internal/k3s/api"
	"archipel/lab/internal/k3s/token"

	"golang.org/x/sys/unix"
)

// Node is what a host says of itself.
type Node struct {
	Name      string
	Addresses []string // the first is how others reach it
	External  []string
	Labels    map[string]string
	Taints    []any
	Version   string
}

// Path is the node's in the API.
func (n Node) Path() string { return "/api/v1/nodes/" + n.Name }

// Hostname returns the name under which a host registers itself.
func Hostname(configured string) (string, error) {
	name := configured
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", err
		}
	}
	return strings.ToLower(strings.TrimSpace(name)), nil
}

// Addresses checks the addresses that were configured; when there are none it
// returns the one with which this host reaches others.
func Addresses(configured []string) ([]string, error) {
	for _, address := range configured {
		if _, err := netip.ParseAddr(address); err != nil {
			return nil, fmt.Errorf("node-ip %q is not an address", address)
		}
	}
	if len(configured) > 0 {
		return configured, nil
	}
	// Nothing is sent: the kernel chooses the address of a default route.
	connection, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return nil, fmt.Errorf("finding the address of this host: %w; set node-ip", err)
	}
	defer connection.Close()
	host, _, err := net.SplitHostPort(connection.LocalAddr().String())
	return []string{host}, err
}

// kubeletLabels are those below kubernetes.io that a node may give itself.
func kubeletLabels() []string {
	return []string{
		"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region", "node.kubernetes.io/instance-type",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
		"beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
	}
}

// Labels reads the option node-label, and refuses what the kubelet refuses.
func Labels(values []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, value := range values {
		key, text, ok := strings.Cut(value, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("node-label %q is not of the form key=value", value)
		}
		prefix, _, _ := strings.Cut(key, "/")
		ours := func(domain string) bool { return prefix == domain || strings.HasSuffix(prefix, "."+domain) }
		allowed := slices.Contains(kubeletLabels(), key) || ours("kubelet.kubernetes.io") || ours("node.kubernetes.io")
		if strings.Contains(key, "/") && (ours("kubernetes.io") || ours("k8s.io")) && !allowed {
			return nil, fmt.Errorf("node-label %q: the kubelet may not set labels of kubernetes.io and k8s.io except kubelet.* and node.*", value)
		}
		labels[key] = text
	}
	return labels, nil
}

// Taints reads the option node-taint.
func Taints(values []string) ([]any, error) {
	var taints []any
	for _, value := range values {
		rest, effect, ok := cutLast(value, ":")
		key, text, _ := strings.Cut(rest, "=")
		if !ok || key == "" || !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect) {
			return nil, fmt.Errorf("node-taint %q is not of the form key=value:effect", value)
		}
		taint := api.Object{"key": key, "effect": effect}
		if text != "" {
			taint["value"] = text
		}
		taints = append(taints, taint)
	}
	return taints, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

// CheckKernel returns an error when a kernel tunable is not what the kubelet
// wants; with protect-kernel-defaults the kubelet does not set it itself.
func CheckKernel(proc fs.FS) error {
	wanted := map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0",
		"kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	}
	var wrong []string
	for name, want := range wanted {
		data, err := fs.ReadFile(proc, "sys/"+name)
		if err != nil {
			return fmt.Errorf("reading a kernel tunable: %w", err)
		}
		if got := strings.TrimSpace(string(data)); got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", strings.ReplaceAll(name, "/", "."), got, want))
		}
	}
	sort.Strings(wrong)
	if len(wrong) > 0 {
		return fmt.Errorf("invalid kernel flags with protect-kernel-defaults: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// Password returns the password with which this host proves that it is the one
// that registered its name. It makes it the first time.
func Password(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the password of this node: %w", err)
	}
	password := token.Random()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return password, os.WriteFile(file, []byte(password+"\n"), 0o600)
}

// Register makes the Node of this host, or brings it up to date.
func (n Node) Register(ctx context.Context, client *api.Client) error {
	labels := api.Object{
		"kubernetes.io/hostname": n.Name, "kubernetes.io/os": "linux", "kubernetes.io/arch": runtime.GOARCH,
		"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": runtime.GOARCH,
		"node.kubernetes.io/instance-type": "k3s", "beta.kubernetes.io/instance-type": "k3s",
	}
	metadata := api.Object{"name": n.Name, "labels": labels, "annotations": api.Object{
		"k3s.io/hostname": n.Name, "k3s.io/internal-ip": strings.Join(n.Addresses, ","),
	}}
	_, err := client.Get(ctx, n.Path())
	switch {
	case api.IsNotFound(err):
		for key, value := range n.Labels { // as k3s: only when the node is new
			labels[key] = value
		}
		object := api.Object{"apiVersion": "v1", "kind": "Node", "metadata": metadata}
		if len(n.Taints) > 0 {
			object["spec"] = api.Object{"taints": n.Taints}
		}
		_, err = client.Create(ctx, "/api/v1/nodes", object)
		if api.IsConflict(err) {
			err = nil
		}
	case err == nil:
		_, err = client.Patch(ctx, n.Path(), api.StrategicPatch, api.Object{"metadata": metadata})
	}
	if err == nil {
		_, err = client.Patch(ctx, n.Path()+"/status", api.StrategicPatch, api.Object{"status": n.status()})
	}
	if err != nil {
		return fmt.Errorf("registering the node %s: %w", n.Name, err)
	}
	return nil
}

func (n Node) status() api.Object {
	addresses := []any{api.Object{"type": "Hostname", "address": n.Name}}
	for _, address := range n.Addresses {
		addresses = append(addresses, api.Object{"type": "InternalIP", "address": address})
	}
	for _, address := range n.External {
		addresses = append(addresses, api.Object{"type": "ExternalIP", "address": address})
	}
	// As much as kwok gives a node: nothing runs, and nothing should have to wait for a place.
	capacity := api.Object{"cpu": "1k", "memory": "1Ti", "pods": "1M"}
	// $patch: what was reported of other addresses goes.
	return api.Object{
		"addresses": append(addresses, api.Object{"$patch": "replace"}),
		"capacity":  capacity, "allocatable": capacity,
		"nodeInfo": api.Object{
			"architecture": runtime.GOARCH, "operatingSystem": "linux", "osImage": osName(),
			"kernelVersion": kernelVersion(), "kubeletVersion": n.Version, "kubeProxyVersion": "",
			"containerRuntimeVersion": "kwok://simulated",
			"machineID":               firstLine("/etc/machine-id"), "systemUUID": firstLine("/etc/machine-id"),
			"bootID": firstLine("/proc/sys/kernel/random/boot_id"),
		},
	}
}

// AwaitNetwork reports the node as not ready until Cilium's pod is on it, as
// the kubelet does while it has no CNI. Whoever waits for a ready node before
// Cilium is installed waits for ever, here as there. It says on log what fails.
func (n Node) AwaitNetwork(ctx context.Context, client *api.Client, log io.Writer) error {
	const beat = 10 * time.Second
	said := ""
	for last := (time.Time{}); ; {
		pods, err := client.Items(ctx, "/api/v1/pods?fieldSelector=spec.nodeName%3D"+n.Name)
		if err == nil && slices.ContainsFunc(pods, isCilium) {
			return nil
		}
		if err == nil && time.Since(last) > beat {
			err = n.heartbeat(ctx, client)
			last = time.Now()
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			fmt.Fprintf(log, "k3s: reporting the node %s: %v\n", n.Name, err)
		}
		if err := Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func isCilium(pod api.Object) bool {
	return api.String(pod, "metadata", "namespace") == "kube-system" && api.String(pod, "metadata", "labels", "k8s-app") == "cilium"
}

const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

func (n Node) heartbeat(ctx context.Context, client *api.Client) error {
	now := time.Now().UTC()
	condition := api.Object{
		"type": "Ready", "status": "False", "reason": "KubeletNotReady", "lastHeartbeatTime": now.Format(time.RFC3339),
		"message": "container runtime network not ready: no pod of Cilium is on this node (simulated)",
	}
	if current, err := client.Get(ctx, n.Path()); err == nil && readyStatus(current) != "False" {
		condition["lastTransitionTime"] = now.Format(time.RFC3339)
	}
	_, err := client.Patch(ctx, n.Path()+"/status", api.StrategicPatch, api.Object{"status": api.Object{"conditions": []any{condition}}})
	if err != nil {
		return err
	}
	lease := api.Object{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
		"metadata": api.Object{"name": n.Name, "namespace": "kube-node-lease"},
		"spec": api.Object{
			"holderIdentity": n.Name, "leaseDurationSeconds": 40, "renewTime": now.Format("2006-01-02T15:04:05.000000Z"),
		},
	}
	_, err = client.Patch(ctx, leases+"/"+n.Name, api.MergePatch, lease)
	if api.IsNotFound(err) {
		_, err = client.Create(ctx, leases, lease)
	}
	return err
}

// readyStatus returns the status of a node's condition Ready.
func readyStatus(object api.Object) string { return Condition(object, "Ready") }

// Condition returns the status of a node's condition, or nothing.
func Condition(object api.Object, kind string) string {
	conditions, _ := api.Field(object, "status", "conditions").([]any)
	for _, condition := range conditions {
		if c, ok := condition.(api.Object); ok && c["type"] == kind {
			status, _ := c["status"].(string)
			return status
		}
	}
	return ""
}

// FreeLease deletes the lease of the node, so that a new simulator need not
// wait until that of the last one has run out.
func (n Node) FreeLease(ctx context.Context, client *api.Client) error {
	return client.Delete(ctx, leases+"/"+n.Name)
}

// Simulator returns the arguments of kwok, which plays the kubelet of one node.
func (n Node) Simulator(kubeconfig, stages, podCIDR string) []string {
	return []string{
		"kwok",
		"--kubeconfig=" + kubeconfig, "--config=" + stages,
		"--manage-all-nodes=false", "--manage-single-node=" + n.Name,
		"--node-lease-duration-seconds=40",
		"--cidr=" + podCIDR, "--node-ip=" + n.Addresses[0],
		"--node-port=10247", "--server-address=127.0.0.1:10247", "--v=WARN",
	}
}

// Sleep waits unless ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Ready tells systemd that the service is up, when it has asked to be told: socket is
// its $NOTIFY_SOCKET (sd_notify(3)).
func Ready(socket string) {
	if socket == "" {
		return
	}
	if connection, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"}); err == nil {
		_, _ = connection.Write([]byte("READY=1"))
		connection.Close()
	}
}

// Environment is that of the children: nothing of the service's own.
func Environment(version string) []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "ARCHIPEL_KUBERNETES_VERSION=" + version}
}

func osName() string {
	data, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			if name, err := strconv.Unquote(value); err == nil {
				return name
			}
			return value
		}
	}
	return "linux"
}

func kernelVersion() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func firstLine(file string) string {
	data, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}
