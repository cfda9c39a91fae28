package option

// Kind is how an option is written.
type Kind int

// The kinds of options.
const (
	Text Kind = iota
	Switch
	Number
	Duration
	List
)

// Treatment is what the lab does with an option of k3s.
type Treatment int

const (
	// Used options do in the lab what they do in k3s.
	Used Treatment = iota
	// Ignored options say nothing about nodes that are simulated.
	Ignored
	// Refused options ask for what the lab would not do, and somebody would miss it.
	Refused
)

// Command is a part of k3s that takes options.
type Command int

// The commands. One option may belong to several.
const (
	Server Command = 1 << iota
	Agent
	Snapshot
)

// Option is one of k3s's options, as a flag and as a key of config.yaml.
type Option struct {
	Name      string
	Short     string // one letter, as in -t
	Aliases   []string
	Kind      Kind
	Commands  Command
	Treatment Treatment
	Env       string // variable that gives it
	Default   string // a Refused option may be set to it
}

// Table holds the options that k3s documents for `k3s server`, `k3s agent` and
// `k3s etcd-snapshot`; a key or flag that is not in it is an error.
func Table() []Option {
	const all, nodes = Server | Agent | Snapshot, Server | Agent
	return []Option{
		{Name: "config", Short: "c", Commands: all, Env: "K3S_CONFIG_FILE", Default: DefaultConfig},
		{Name: "debug", Kind: Switch, Commands: all, Treatment: Ignored, Env: "K3S_DEBUG"},
		{Name: "v", Short: "v", Kind: Number, Commands: all, Treatment: Ignored},
		{Name: "vmodule", Commands: all, Treatment: Ignored},
		{Name: "log", Short: "l", Commands: all, Treatment: Refused},
		{Name: "alsologtostderr", Kind: Switch, Commands: all, Treatment: Ignored},
		{Name: "data-dir", Short: "d", Commands: all, Env: "K3S_DATA_DIR", Default: "/var/lib/rancher/k3s"},

		{Name: "bind-address", Commands: nodes, Treatment: Refused, Default: "0.0.0.0"},
		{Name: "https-listen-port", Kind: Number, Commands: Server, Treatment: Refused, Default: "6443"},
		{Name: "advertise-address", Commands: Server},
		{Name: "advertise-port", Kind: Number, Commands: Server, Treatment: Refused, Default: "6443"},
		{Name: "tls-san", Kind: List, Commands: Server},
		{Name: "tls-san-security", Kind: Switch, Commands: Server, Treatment: Ignored, Default: "true"},

		{Name: "cluster-cidr", Kind: List, Commands: Server, Default: "10.42.0.0/16"},
		{Name: "service-cidr", Kind: List, Commands: Server, Default: "10.43.0.0/16"},
		{Name: "service-node-port-range", Commands: Server, Default: "30000-32767"},
		{Name: "cluster-dns", Kind: List, Commands: Server, Default: "10.43.0.10"},
		{Name: "cluster-domain", Commands: Server, Default: "cluster.local"},
		{Name: "flannel-backend", Commands: Server, Default: "vxlan"},
		{Name: "flannel-ipv6-masq", Kind: Switch, Commands: Server, Treatment: Ignored},
		{Name: "flannel-external-ip", Kind: Switch, Commands: Server, Treatment: Ignored},
		{Name: "egress-selector-mode", Commands: Server, Treatment: Ignored, Default: "agent"},
		{Name: "servicelb-namespace", Commands: Server, Treatment: Ignored, Default: "kube-system"},

		{Name: "write-kubeconfig", Short: "o", Commands: Server, Env: "K3S_KUBECONFIG_OUTPUT", Default: "/etc/rancher/k3s/k3s.yaml"},
		{Name: "write-kubeconfig-mode", Commands: Server, Env: "K3S_KUBECONFIG_MODE", Default: "0600"},
		{Name: "write-kubeconfig-group", Commands: Server, Treatment: Refused, Env: "K3S_KUBECONFIG_GROUP"},
		{Name: "helm-job-image", Commands: Server, Treatment: Ignored},

		{Name: "token", Short: "t", Commands: all, Env: "K3S_TOKEN"},
		{Name: "token-file", Commands: nodes, Env: "K3S_TOKEN_FILE"},
		{Name: "agent-token", Commands: Server, Env: "K3S_AGENT_TOKEN"},
		{Name: "agent-token-file", Commands: Server, Env: "K3S_AGENT_TOKEN_FILE"},
		{Name: "server", Short: "s", Commands: all, Env: "K3S_URL"},
		{Name: "cluster-secret", Commands: Agent, Treatment: Refused},
		{Name: "cluster-init", Kind: Switch, Commands: Server, Env: "K3S_CLUSTER_INIT"},
		{Name: "cluster-reset", Kind: Switch, Commands: Server, Env: "K3S_CLUSTER_RESET"},
		{Name: "cluster-reset-restore-path", Commands: Server},

		{Name: "kube-apiserver-arg", Kind: List, Commands: Server},
		{Name: "etcd-arg", Kind: List, Commands: Server},
		{Name: "kube-controller-manager-arg", Aliases: []string{"kube-controller-arg"}, Kind: List, Commands: Server},
		{Name: "kube-scheduler-arg", Kind: List, Commands: Server},
		{Name: "kube-cloud-controller-manager-arg", Aliases: []string{"kube-cloud-controller-arg"}, Kind: List, Commands: Server, Treatment: Ignored},
		{Name: "helm-controller-arg", Kind: List, Commands: Server, Treatment: Ignored},
		{Name: "kubelet-arg", Kind: List, Commands: nodes, Treatment: Ignored},
		{Name: "kube-proxy-arg", Kind: List, Commands: nodes, Treatment: Ignored},

		{Name: "kine-tls", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "datastore-endpoint", Commands: Server, Treatment: Refused, Env: "K3S_DATASTORE_ENDPOINT"},
		{Name: "datastore-cafile", Commands: Server, Treatment: Refused, Env: "K3S_DATASTORE_CAFILE"},
		{Name: "datastore-certfile", Commands: Server, Treatment: Refused, Env: "K3S_DATASTORE_CERTFILE"},
		{Name: "datastore-keyfile", Commands: Server, Treatment: Refused, Env: "K3S_DATASTORE_KEYFILE"},
		{Name: "etcd-expose-metrics", Kind: Switch, Commands: Server},
		{Name: "etcd-disable-snapshots", Kind: Switch, Commands: Server},
		{Name: "etcd-snapshot-name", Commands: Server, Default: "etcd-snapshot"},
		{Name: "name", Commands: Snapshot, Default: "on-demand"},
		{Name: "etcd-snapshot-schedule-cron", Commands: Server, Default: "0 */12 * * *"},
		{Name: "etcd-snapshot-reconcile-interval", Kind: Duration, Commands: Server, Treatment: Ignored},
		{Name: "etcd-snapshot-retention", Aliases: []string{"snapshot-retention"}, Kind: Number, Commands: Server | Snapshot, Default: "5"},
		{Name: "etcd-snapshot-dir", Aliases: []string{"dir"}, Commands: Server | Snapshot},
		{Name: "etcd-snapshot-compress", Aliases: []string{"snapshot-compress"}, Kind: Switch, Commands: Server | Snapshot},
		{Name: "output", Short: "o", Commands: Snapshot, Default: "standard"},
		{Name: "etcd-s3", Aliases: []string{"s3"}, Kind: Switch, Commands: Server | Snapshot, Treatment: Refused, Default: "false"},
		s3("endpoint", Text), s3("endpoint-ca", Text), s3("skip-ssl-verify", Switch),
		s3("access-key", Text), s3("secret-key", Text), s3("session-token", Text),
		s3("bucket", Text), s3("bucket-lookup-type", Text), s3("region", Text), s3("folder", Text),
		s3("retention", Number), s3("proxy", Text), s3("config-secret", Text), s3("insecure", Switch),
		s3("timeout", Duration),

		{Name: "default-local-storage-path", Commands: Server, Treatment: Ignored},
		{Name: "disable", Kind: List, Commands: Server},
		{Name: "disable-scheduler", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "disable-cloud-controller", Kind: Switch, Commands: Server, Treatment: Ignored},
		{Name: "disable-kube-proxy", Kind: Switch, Commands: Server},
		{Name: "disable-network-policy", Kind: Switch, Commands: Server},
		{Name: "disable-helm-controller", Kind: Switch, Commands: Server, Treatment: Ignored},
		{Name: "disable-apiserver", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "disable-controller-manager", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "disable-etcd", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "disable-agent", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "disable-apiserver-lb", Kind: Switch, Commands: Agent, Treatment: Refused, Default: "false"},
		{Name: "embedded-registry", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},
		{Name: "supervisor-metrics", Kind: Switch, Commands: Server, Treatment: Refused, Default: "false"},

		{Name: "node-name", Commands: all, Env: "K3S_NODE_NAME"},
		{Name: "with-node-id", Kind: Switch, Commands: nodes, Treatment: Refused, Default: "false"},
		{Name: "node-label", Kind: List, Commands: nodes},
		{Name: "node-taint", Kind: List, Commands: nodes},
		{Name: "image-credential-provider-bin-dir", Commands: nodes, Treatment: Ignored},
		{Name: "image-credential-provider-config", Commands: nodes, Treatment: Ignored},
		{Name: "docker", Kind: Switch, Commands: nodes, Treatment: Refused, Default: "false"},
		{Name: "container-runtime-endpoint", Commands: nodes, Treatment: Ignored},
		{Name: "default-runtime", Commands: nodes, Treatment: Ignored},
		{Name: "image-service-endpoint", Commands: nodes, Treatment: Ignored},
		{Name: "disable-default-registry-endpoint", Kind: Switch, Commands: nodes, Treatment: Ignored},
		{Name: "nonroot-devices", Kind: Switch, Commands: nodes, Treatment: Ignored},
		{Name: "pause-image", Commands: nodes, Treatment: Ignored},
		{Name: "snapshotter", Commands: nodes, Treatment: Ignored},
		{Name: "private-registry", Commands: nodes, Treatment: Ignored},
		{Name: "system-default-registry", Commands: Server, Treatment: Ignored, Env: "K3S_SYSTEM_DEFAULT_REGISTRY"},
		{Name: "airgap-extra-registry", Kind: List, Commands: nodes, Treatment: Ignored},
		{Name: "node-ip", Short: "i", Kind: List, Commands: nodes},
		{Name: "node-external-ip", Kind: List, Commands: nodes},
		{Name: "node-internal-dns", Kind: List, Commands: nodes, Treatment: Refused},
		{Name: "node-external-dns", Kind: List, Commands: nodes, Treatment: Refused},
		{Name: "resolv-conf", Commands: nodes, Env: "K3S_RESOLV_CONF"},
		{Name: "flannel-iface", Commands: nodes, Treatment: Ignored},
		{Name: "flannel-conf", Commands: nodes, Treatment: Ignored},
		{Name: "flannel-cni-conf", Commands: nodes, Treatment: Ignored},
		{Name: "no-flannel", Kind: Switch, Commands: Agent, Treatment: Ignored},
		{Name: "vpn-auth", Commands: nodes, Treatment: Refused, Env: "K3S_VPN_AUTH"},
		{Name: "vpn-auth-file", Commands: nodes, Treatment: Refused, Env: "K3S_VPN_AUTH_FILE"},
		{Name: "protect-kernel-defaults", Kind: Switch, Commands: nodes},
		{Name: "secrets-encryption", Kind: Switch, Commands: Server},
		{Name: "secrets-encryption-provider", Commands: Server, Default: "aescbc"},
		{Name: "enable-pprof", Kind: Switch, Commands: nodes, Treatment: Ignored},
		{Name: "rootless", Kind: Switch, Commands: nodes, Treatment: Refused, Default: "false"},
		{Name: "prefer-bundled-bin", Kind: Switch, Commands: nodes, Treatment: Ignored},
		{Name: "selinux", Kind: Switch, Commands: nodes, Treatment: Refused, Env: "K3S_SELINUX", Default: "false"},
		{Name: "disable-selinux", Kind: Switch, Commands: Agent, Treatment: Ignored},
		{Name: "lb-server-port", Kind: Number, Commands: nodes, Treatment: Refused, Env: "K3S_LB_SERVER_PORT", Default: "6444"},
	}
}

// s3 is an option of where snapshots are stored: the lab has no S3.
func s3(name string, kind Kind) Option {
	return Option{
		Name: "etcd-s3-" + name, Aliases: []string{"s3-" + name}, Kind: kind,
		Commands: Server | Snapshot, Treatment: Refused,
	}
}
