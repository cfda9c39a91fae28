package server

import (
	"slices"
	"strings"

	"archipel/lab/internal/k3s/child"
	"archipel/lab/internal/k3s/node"
)

// Programs are the upstream programs of a host.
type Programs struct{ Dir string }

// ControlPlane is the binary that holds the control plane, kwok and kubectl.
func (p Programs) ControlPlane() string { return p.Dir + "/bin/controlplane" }

// Stages are the rules of kwok.
func (p Programs) Stages() string { return p.Dir + "/stages.yaml" }

// arguments returns the command line of a program: an argument that the
// configuration gives (kube-apiserver-arg and the like) replaces the default.
func arguments(program string, defaults, given []string) []string {
	key := func(arg string) string {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return name
	}
	args := []string{program}
	for _, arg := range defaults {
		if !slices.ContainsFunc(given, func(g string) bool { return key(g) == key(arg) }) {
			args = append(args, arg)
		}
	}
	for _, arg := range given {
		args = append(args, "--"+strings.TrimLeft(arg, "-"))
	}
	return args
}

// controlPlane is one of the programs in the control plane's binary.
func (s *server) controlPlane(name, option string, defaults ...string) child.Spec {
	return child.Spec{
		Name: name, Path: s.programs.ControlPlane(),
		Args: arguments(name, defaults, s.values.List(option)),
		Env:  node.Environment(s.version),
	}
}

// etcd returns etcd's command line; cluster is empty when it has a database.
func (s *server) etcd(cluster string) child.Spec {
	l, address := s.layout, s.address
	state := "new"
	if s.joins {
		state = "existing"
	}
	metrics := "http://127.0.0.1:2381"
	if s.values.Switch("etcd-expose-metrics") {
		metrics += ",http://" + address + ":2381"
	}
	defaults := []string{
		"--name=" + s.member, "--data-dir=" + l.etcd(),
		"--listen-client-urls=https://127.0.0.1:2379,https://" + address + ":2379",
		"--advertise-client-urls=https://" + address + ":2379",
		"--listen-peer-urls=https://127.0.0.1:2380,https://" + address + ":2380",
		"--initial-advertise-peer-urls=" + s.peer(),
		"--listen-metrics-urls=" + metrics,
		"--client-cert-auth", "--trusted-ca-file=" + l.tls("etcd/server-ca.crt"),
		"--cert-file=" + l.tls("etcd/server-client.crt"), "--key-file=" + l.tls("etcd/server-client.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + l.tls("etcd/peer-ca.crt"),
		"--peer-cert-file=" + l.tls("etcd/peer-server-client.crt"), "--peer-key-file=" + l.tls("etcd/peer-server-client.key"),
		// Hosts share the cores of one machine: a busy one must not cost the leader.
		"--heartbeat-interval=300", "--election-timeout=3000",
		// A lab host survives what it is made to suffer, and is made anew after a power cut.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
	if cluster != "" {
		defaults = append(defaults, "--initial-cluster="+cluster, "--initial-cluster-state="+state)
	}
	return s.controlPlane("etcd", "etcd-arg", defaults...)
}

func (s *server) apiserver() child.Spec {
	l := s.layout
	defaults := []string{
		"--advertise-address=" + s.advertise, "--bind-address=0.0.0.0", "--secure-port=6443",
		"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + l.tls("etcd/server-ca.crt"),
		"--etcd-certfile=" + l.tls("etcd/client.crt"), "--etcd-keyfile=" + l.tls("etcd/client.key"),
		"--tls-cert-file=" + l.tls("serving-kube-apiserver.crt"), "--tls-private-key-file=" + l.tls("serving-kube-apiserver.key"),
		"--client-ca-file=" + l.tls("client-ca.crt"),
		"--kubelet-certificate-authority=" + l.tls("server-ca.crt"),
		"--kubelet-client-certificate=" + l.tls("client-kube-apiserver.crt"), "--kubelet-client-key=" + l.tls("client-kube-apiserver.key"),
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
		"--requestheader-client-ca-file=" + l.tls("request-header-ca.crt"), "--requestheader-allowed-names=system:auth-proxy",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + l.tls("client-auth-proxy.crt"), "--proxy-client-key-file=" + l.tls("client-auth-proxy.key"),
		"--authorization-mode=Node,RBAC", "--anonymous-auth=false",
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc." + s.values.Text("cluster-domain"),
		"--api-audiences=https://kubernetes.default.svc." + s.values.Text("cluster-domain") + ",k3s",
		"--service-account-key-file=" + l.tls(serviceKey), "--service-account-signing-key-file=" + l.tls(serviceKey),
		"--service-cluster-ip-range=" + strings.Join(s.values.Split("service-cidr"), ","),
		"--service-node-port-range=" + s.values.Text("service-node-port-range"),
		"--storage-backend=etcd3", "--allow-privileged=true", "--profiling=false",
		// The hosts have no crowd to be fair to, and this is CPU time at each request.
		"--enable-priority-and-fairness=false",
	}
	if l.exists("cred", "encryption-config.json") {
		defaults = append(defaults, "--encryption-provider-config="+l.encryption(), "--encryption-provider-config-automatic-reload=true")
	}
	spec := s.controlPlane("kube-apiserver", "kube-apiserver-arg", defaults...)
	// No pod answers behind a webhook, so that these plugins are off whatever is asked for.
	const webhooks = "MutatingAdmissionWebhook,ValidatingAdmissionWebhook"
	for i, arg := range spec.Args {
		if plugins, ok := strings.CutPrefix(arg, "--enable-admission-plugins="); ok {
			kept := slices.DeleteFunc(strings.Split(plugins, ","), func(p string) bool { return strings.Contains(webhooks, p) })
			spec.Args[i] = "--enable-admission-plugins=" + strings.Join(kept, ",")
		}
	}
	spec.Args = append(spec.Args, "--disable-admission-plugins="+webhooks)
	spec.Kill = true
	return spec
}

func (s *server) controllerManager() child.Spec {
	l, config := s.layout, s.layout.kubeconfig("controller")
	return s.controlPlane("kube-controller-manager", "kube-controller-manager-arg",
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--secure-port=10257",
		"--use-service-account-credentials=true",
		"--root-ca-file="+l.tls("server-ca.crt"), "--service-account-private-key-file="+l.tls(serviceKey),
		"--allocate-node-cidrs=true", "--cluster-cidr="+strings.Join(s.values.Split("cluster-cidr"), ","),
		"--cluster-signing-cert-file="+l.tls("client-ca.crt"), "--cluster-signing-key-file="+l.tls("client-ca.key"),
		"--profiling=false",
		"--controllers=*,tokencleaner,-node-route-controller,-cloud-node-lifecycle-controller,-service-lb-controller,"+
			"-persistentvolume-attach-detach-controller,-persistentvolume-expander-controller",
	)
}

func (s *server) scheduler() child.Spec {
	config := s.layout.kubeconfig("scheduler")
	return s.controlPlane("kube-scheduler", "kube-scheduler-arg",
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--secure-port=10259", "--profiling=false")
}

func (s *server) kwok() child.Spec {
	return child.Spec{
		Name: "kwok", Path: s.programs.ControlPlane(), Env: node.Environment(s.version),
		Args: s.node.Simulator(s.layout.kubeconfig("kubelet"), s.programs.Stages(), s.values.Split("cluster-cidr")[0]),
	}
}

// fluxController is one of Flux's programs, which no pod runs here. Its flags
// are those of the lab without hosts.
type fluxController struct {
	name string
	spec child.Spec
}

func (s *server) fluxControllers() []fluxController {
	at := func(port string) string { return s.address + ":" + port }
	home := s.layout.data + "/agent/flux/"
	controller := func(name, health string, args ...string) fluxController {
		return fluxController{name, child.Spec{
			Name: name, Path: s.programs.Dir + "/bin/" + name,
			Args: append([]string{
				"--enable-leader-election=false", "--log-level=info", "--watch-all-namespaces=true",
				"--kube-api-qps=500", "--kube-api-burst=1000", "--metrics-addr=0", "--health-addr=" + at(health),
			}, args...),
			Env: []string{
				"PATH=/usr/bin:/bin", "HOME=" + home + name, "TMPDIR=" + home + name,
				"KUBECONFIG=" + s.layout.kubeconfig("admin"), "RUNTIME_NAMESPACE=" + fluxNamespace,
			},
		}}
	}
	events := "--events-addr=http://" + at("9093") + "/"
	source := controller("source-controller", "9440", events, "--storage-path="+home+"artifacts",
		"--storage-addr="+at("9790"), "--storage-adv-addr="+at("9790"))
	// Every production URL is answered by the lab.
	source.spec.Env = append(source.spec.Env, s.environment...)
	return []fluxController{
		controller("notification-controller", "9443", "--events-addr="+at("9093"), "--receiverAddr="+at("9292")),
		source,
		controller("kustomize-controller", "9441", events, "--requeue-dependency=500ms",
			"--feature-gates=CancelHealthCheckOnNewRevision=true"),
		controller("helm-controller", "9442", events, "--requeue-dependency=500ms"),
	}
}
