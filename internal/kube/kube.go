// Package kube is the only package that talks to a cluster.
package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// FieldManager is the name under which archipel owns fields of objects.
const FieldManager = "archipel"

// Config says which cluster to open.
type Config struct {
	// Paths are kubeconfig files. The first file that sets a value wins, as
	// with kubectl. None means what the environment says: $KUBECONFIG, else
	// $HOME/.kube/config.
	Paths []string
	// Content is a kubeconfig itself, in place of files. Without a Context its
	// current one is opened.
	Content []byte
	// Server, when set, is the URL to connect to in place of the kubeconfig's, and
	// ServerName the name or address that the server's certificate must then hold.
	Server, ServerName string
	// Context is the name of a context in these files; by convention a site's
	// context is named like the site.
	Context string
	// Getenv looks up the environment; nil is an empty one.
	Getenv func(string) string
}

// Cluster is one opened cluster. It is safe for concurrent use. Opening does
// not connect: the first call does.
type Cluster struct {
	server  string
	http    *http.Client
	raw     *rest.RESTClient
	dynamic dynamic.Interface

	mu    sync.Mutex
	known map[schema.GroupVersion][]resource // answers of discovery
}

// NoContextError says that no kubeconfig file names the wanted context.
type NoContextError struct {
	Context  string
	Contexts []string // the contexts that exist, sorted
	Paths    []string // the files that were looked at
}

func (e *NoContextError) Error() string {
	where := strings.Join(e.Paths, ", ")
	if len(e.Contexts) == 0 {
		return fmt.Sprintf("no context %q: %s holds no context at all", e.Context, where)
	}
	return fmt.Sprintf("no context %q in %s: it holds %s", e.Context, where, strings.Join(e.Contexts, ", "))
}

// Open opens the cluster that config names. The error is a *NoContextError
// when there is no such context.
func Open(config Config) (*Cluster, error) {
	merged, paths, err := load(config)
	if err != nil {
		return nil, err
	}
	if config.Content != nil && config.Context == "" {
		config.Context = merged.CurrentContext
	}
	if _, ok := merged.Contexts[config.Context]; !ok {
		return nil, &NoContextError{Context: config.Context, Contexts: names(merged), Paths: paths}
	}
	client := clientcmd.NewNonInteractiveClientConfig(*merged, config.Context, &clientcmd.ConfigOverrides{}, nil)
	restConfig, err := client.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading context %q of %s: %w", config.Context, strings.Join(paths, ", "), err)
	}
	if config.Server != "" {
		restConfig.Host, restConfig.ServerName = config.Server, config.ServerName
	}
	return newCluster(restConfig)
}

// Contexts lists the contexts that config's files hold, sorted.
func Contexts(config Config) ([]string, error) {
	merged, _, err := load(config)
	if err != nil {
		return nil, err
	}
	return names(merged), nil
}

func newCluster(config *rest.Config) (*Cluster, error) {
	config = dynamic.ConfigFor(config)
	config.UserAgent = FieldManager
	// The server limits itself; a limit here only delays.
	config.QPS = -1
	// A deprecation warning of the API server is no output of archipel.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if config.ExecProvider != nil {
		// A credential plugin that prompts would look like a hang.
		config.ExecProvider.StdinUnavailable = true
		config.ExecProvider.StdinUnavailableMessage = "archipel answers no prompt"
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}
	dyn, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}
	raw, err := rest.UnversionedRESTClientForConfigAndClient(rootConfig(config), client)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}
	return &Cluster{
		server:  strings.TrimPrefix(strings.TrimPrefix(config.Host, "https://"), "http://"),
		http:    client,
		raw:     raw,
		dynamic: dyn,
		known:   map[schema.GroupVersion][]resource{},
	}, nil
}

// rootConfig is config for requests outside any API group, such as /readyz.
func rootConfig(config *rest.Config) *rest.Config {
	root := rest.CopyConfig(config)
	root.GroupVersion = nil
	root.APIPath = "/"
	return root
}

// Server is the host and port of the API server.
func (c *Cluster) Server() string { return c.server }

// Close drops idle connections. A closed cluster may be used again.
func (c *Cluster) Close() { c.http.CloseIdleConnections() }

// Ready asks whether the API server serves. The error lists the checks that
// fail.
func (c *Cluster) Ready(ctx context.Context) error {
	body, err := c.raw.Get().AbsPath("/readyz").Param("verbose", "true").DoRaw(ctx)
	if err == nil {
		return nil
	}
	var failing []string
	for line := range strings.Lines(string(body)) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			failing = append(failing, name)
		}
	}
	if len(failing) > 0 {
		return fmt.Errorf("%s is not ready: %s", c.server, strings.Join(failing, ", "))
	}
	return c.explain("asking whether the API server is ready", err)
}

// load reads and merges the kubeconfig files and says which it looked at.
func load(config Config) (*api.Config, []string, error) {
	getenv := config.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	if config.Content != nil {
		merged, err := clientcmd.Load(config.Content)
		if err != nil { // it may repeat what it read
			return nil, nil, errors.New("reading the kubeconfig: it is malformed")
		}
		return merged, []string{"the kubeconfig of the server"}, nil
	}
	paths := slices.Clone(config.Paths)
	for _, path := range paths {
		// A file that was asked for must exist; one that the environment
		// names may be missing, as with kubectl.
		if _, err := os.Stat(path); err != nil {
			return nil, nil, fmt.Errorf("reading kubeconfig: %w", err)
		}
	}
	if len(paths) == 0 {
		paths = slices.DeleteFunc(filepath.SplitList(getenv("KUBECONFIG")), func(p string) bool { return p == "" })
	}
	if len(paths) == 0 && getenv("HOME") != "" {
		paths = []string{filepath.Join(getenv("HOME"), ".kube", "config")}
	}
	if len(paths) == 0 {
		return nil, nil, errors.New("no kubeconfig: set KUBECONFIG or name a file")
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: paths, WarnIfAllMissing: false}
	merged, err := rules.Load()
	if err != nil {
		return nil, nil, fmt.Errorf("reading kubeconfig %s: %w", strings.Join(paths, ", "), err)
	}
	return merged, paths, nil
}

func names(config *api.Config) []string {
	var all []string
	for name := range config.Contexts {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
