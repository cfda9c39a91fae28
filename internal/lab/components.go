package lab

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"

	"archipel/internal/fleet"
	"archipel/internal/tool"
)

// Components are the programs of a site, in the order in which they start.
func Components() []string {
	return []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok",
		"notification-controller", "source-controller", "kustomize-controller", "helm-controller",
	}
}

// upstreamComponent serves all sites; its process has no site.
const upstreamComponent = "upstream"

func processName(site, component string) string { return site + "/" + component }

// The ports of a site, the default of each program. Nothing collides, because
// every site has an address of its own.
const (
	etcdPort          = 2379
	etcdPeerPort      = 2380
	apiserverPort     = 6443
	kwokPort          = 10247
	artifactsPort     = 9790
	eventsPort        = 9093
	receiverPort      = 9292
	sourceHealth      = 9440
	kustomizeHealth   = 9441
	helmHealth        = 9442
	notificationReady = 9443
)

// program is one daemon of a site and what it needs.
type program struct {
	daemon tool.Daemon
	// enter, when set, is a command that moves into other namespaces and then becomes
	// the daemon.
	enter []string
	ports []int
	// ready is the port of a plain HTTP /readyz, 0 when there is none.
	ready int
}

// layout is all that the command lines of a site are made of.
type layout struct {
	site     *fleet.Site
	address  netip.Addr
	upstream netip.Addr
	dir      string // of the site
	group    string
	caFile   string // of the upstreams' throw-away authority
	pki      pki
	programs Programs
}

func (s layout) url(port int) string   { return "http://" + s.at(port) }
func (s layout) https(port int) string { return "https://" + s.at(port) }
func (s layout) at(port int) string    { return netip.AddrPortFrom(s.address, uint16(port)).String() }
func (s layout) server() string        { return s.https(apiserverPort) }

func (s layout) file(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// kubeconfigFile holds the credentials of one user of the control plane.
func (s layout) kubeconfigFile(user string) string { return s.file(user + ".kubeconfig") }

// component returns the command line of one component.
func (s layout) component(name string) program {
	p := map[string]func() program{
		"etcd":                    s.etcd,
		"kube-apiserver":          s.apiserver,
		"kube-controller-manager": s.controllerManager,
		"kube-scheduler":          s.scheduler,
		"kwok":                    s.kwok,
		"notification-controller": s.notificationController,
		"source-controller":       s.sourceController,
		"kustomize-controller":    s.kustomizeController,
		"helm-controller":         s.helmController,
	}[name]()
	p.daemon.Group = s.group
	p.daemon.Name = processName(s.site.Name, name)
	p.daemon.Log = s.file("log", name+".log")
	if p.daemon.Env == nil {
		// Nothing of the user's environment: it may hold credentials, and it must not
		// change what the lab does.
		p.daemon.Env = []string{"HOME=" + s.dir, "TMPDIR=" + s.file("tmp")}
	}
	return p
}

func (s layout) controlPlane(ports []int, args ...string) program {
	return program{daemon: tool.Daemon{Path: s.programs.ControlPlane, Args: args}, ports: ports}
}

func (s layout) etcd() program {
	return s.controlPlane([]int{etcdPort, etcdPeerPort}, "etcd",
		"--name=default",
		"--data-dir="+s.file("etcd"),
		"--listen-client-urls="+s.https(etcdPort),
		"--advertise-client-urls="+s.https(etcdPort),
		"--listen-peer-urls="+s.https(etcdPeerPort),
		"--initial-advertise-peer-urls="+s.https(etcdPeerPort),
		"--initial-cluster=default="+s.https(etcdPeerPort),
		// Any user of the machine can reach a loopback address, so the API server alone may talk to it.
		"--client-cert-auth", "--trusted-ca-file="+s.pki.file("ca.crt"),
		"--cert-file="+s.pki.file("etcd.crt"), "--key-file="+s.pki.file("etcd.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file="+s.pki.file("ca.crt"),
		"--peer-cert-file="+s.pki.file("etcd.crt"), "--peer-key-file="+s.pki.file("etcd.key"),
		// A lab that loses power is raised anew.
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
}

func (s layout) apiserver() program {
	return s.controlPlane([]int{apiserverPort}, "kube-apiserver",
		"--etcd-servers="+s.https(etcdPort),
		"--etcd-cafile="+s.pki.file("ca.crt"),
		"--etcd-certfile="+s.pki.file("etcd-client.crt"), "--etcd-keyfile="+s.pki.file("etcd-client.key"),
		"--bind-address="+s.address.String(), "--secure-port="+strconv.Itoa(apiserverPort),
		"--tls-cert-file="+s.pki.file("apiserver.crt"), "--tls-private-key-file="+s.pki.file("apiserver.key"),
		"--client-ca-file="+s.pki.file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--anonymous-auth=false",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+s.pki.file("service-account.pub"),
		"--service-account-signing-key-file="+s.pki.file("service-account.key"),
		"--service-cluster-ip-range="+serviceCIDR,
		// A real server's address, so that none of this machine's is looked up; nothing is announced.
		"--advertise-address="+s.site.Servers()[0].Address.String(), "--endpoint-reconciler-type=none",
		// Nodes have example addresses: only the one that loops back is ever dialled.
		"--kubelet-preferred-address-types=InternalDNS",
		// No pod answers behind a webhook.
		"--disable-admission-plugins=MutatingAdmissionWebhook,ValidatingAdmissionWebhook",
		"--allow-privileged=true",
		"--profiling=false",
		// A lab has no crowd to be fair to, and this is CPU time at each request.
		"--enable-priority-and-fairness=false",
	)
}

func (s layout) controllerManager() program {
	return s.controlPlane(nil, "kube-controller-manager",
		"--kubeconfig="+s.kubeconfigFile("system:kube-controller-manager"),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--root-ca-file="+s.pki.file("ca.crt"),
		"--service-account-private-key-file="+s.pki.file("service-account.key"),
		"--allocate-node-cidrs=true", "--cluster-cidr="+s.site.Facts.PodCIDR.String(),
		"--secure-port=0",
		"--profiling=false",
		"--controllers=*,-node-route-controller,-cloud-node-lifecycle-controller,-service-lb-controller,"+
			"-persistentvolume-attach-detach-controller,-persistentvolume-expander-controller",
	)
}

func (s layout) scheduler() program {
	return s.controlPlane(nil, "kube-scheduler",
		"--kubeconfig="+s.kubeconfigFile("system:kube-scheduler"),
		"--leader-elect=false", "--secure-port=0", "--profiling=false")
}

func (s layout) kwok() program {
	return s.controlPlane([]int{kwokPort}, "kwok",
		"--kubeconfig="+s.kubeconfigFile("admin"),
		"--config="+s.programs.Stages,
		"--manage-all-nodes=true",
		"--node-lease-duration-seconds=40",
		"--cidr="+s.site.Facts.PodCIDR.String(),
		"--node-ip="+s.address.String(), "--node-port="+strconv.Itoa(kwokPort),
		"--server-address="+s.at(kwokPort),
	)
}

// flux returns a Flux controller. The flags that differ from Flux's manifests
// are addresses, the limits of a cluster shared by many, and how soon a
// dependency is looked at again.
func (s layout) flux(name, path string, health int, ports []int, args ...string) program {
	return program{
		ready: health,
		ports: append(ports, health),
		daemon: tool.Daemon{
			Path: path,
			Args: append([]string{
				"--enable-leader-election=false",
				"--log-level=info",
				"--watch-all-namespaces=true",
				"--kube-api-qps=500", "--kube-api-burst=1000",
				"--metrics-addr=0",
				"--health-addr=" + s.at(health),
			}, args...),
			Env: []string{
				"HOME=" + s.file("tmp", name),
				"TMPDIR=" + s.file("tmp", name),
				"KUBECONFIG=" + s.kubeconfigFile("admin"),
				"RUNTIME_NAMESPACE=" + fluxNamespace,
			},
		},
	}
}

func (s layout) notificationController() program {
	return s.flux("notification", s.programs.Notification, notificationReady, []int{eventsPort, receiverPort},
		"--events-addr="+s.at(eventsPort), "--receiverAddr="+s.at(receiverPort))
}

func (s layout) sourceController() program {
	p := s.flux("source", s.programs.Source, sourceHealth, []int{artifactsPort},
		"--events-addr="+s.url(eventsPort)+"/",
		"--storage-path="+s.file("artifacts"),
		"--storage-addr="+s.at(artifactsPort), "--storage-adv-addr="+s.at(artifactsPort))
	// Every production URL is answered on this machine, and no other.
	p.daemon.Env = append(p.daemon.Env,
		fmt.Sprintf("HTTPS_PROXY=http://%s", netip.AddrPortFrom(s.upstream, proxyPort)),
		"SSL_CERT_FILE="+s.caFile)
	return p
}

func (s layout) kustomizeController() program {
	return s.flux("kustomize", s.programs.Kustomize, kustomizeHealth, nil,
		"--events-addr="+s.url(eventsPort)+"/", "--requeue-dependency=500ms",
		// As in base/flux-system/controllers.yaml; the end-to-end test compares the two.
		"--feature-gates=CancelHealthCheckOnNewRevision=true")
}

func (s layout) helmController() program {
	return s.flux("helm", s.programs.Helm, helmHealth, nil,
		"--events-addr="+s.url(eventsPort)+"/", "--requeue-dependency=500ms")
}
