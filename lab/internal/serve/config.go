// Package serve answers, on loopback addresses only, for every remote that a
// site pulls from: Git, Helm chart repositories and OCI registries, behind a
// proxy that reaches nothing else.
package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Config says what is served, and where.
type Config struct {
	// Listen is the plain HTTP address, which answers /healthz and nothing else.
	Listen string `json:"listen"`
	// Proxy is the address of the CONNECT proxy.
	Proxy string `json:"proxy"`
	// AnyAddress allows addresses other than loopback ones: in a network of the lab's
	// own that others cannot reach.
	AnyAddress bool `json:"anyAddress,omitempty"`
	// CA is the file that the certificate of the proxy's authority is written to.
	CA string `json:"ca"`
	// Content is a folder that pack wrote. Needed for charts and registries.
	Content string `json:"content,omitempty"`

	Git        *Git     `json:"git,omitempty"`
	Charts     []Charts `json:"charts,omitempty"`
	Registries []string `json:"registries,omitempty"` // host names
}

// Git serves the bare repositories of a folder, to be read only:
// https://<host>/<path below root>.
type Git struct {
	Root  string   `json:"root"`
	Hosts []string `json:"hosts"`
	// Credentials is a file with user:password that nobody else may read. Without
	// it everybody may read the repositories.
	Credentials string `json:"credentials,omitempty"`
}

// Charts serves the repository charts/<chart> of the content as
// https://<host><path>.
type Charts struct {
	Host  string `json:"host"`
	Path  string `json:"path"` // starts and ends with a slash
	Chart string `json:"chart"`
}

// ReadConfig reads and checks a configuration. Relative paths in it start at the
// folder of the file.
func ReadConfig(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	var config Config
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return Config{}, fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	if decoder.More() {
		return Config{}, fmt.Errorf("reading the configuration %s: it holds more than one value", file)
	}
	paths := []*string{&config.CA, &config.Content}
	if config.Git != nil {
		paths = append(paths, &config.Git.Root, &config.Git.Credentials)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(file), *p)
		}
	}
	if err := config.check(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", file, err)
	}
	return config, nil
}

func (c Config) check() error {
	var problems []error
	fail := func(format string, values ...any) { problems = append(problems, fmt.Errorf(format, values...)) }

	for _, address := range []struct{ name, value string }{{"listen", c.Listen}, {"proxy", c.Proxy}} {
		if err := loopback(address.value); err != nil && !c.AnyAddress {
			fail("%s: %w", address.name, err)
		}
	}
	if c.CA == "" {
		fail("ca: name the file for the certificate of the proxy's authority")
	}
	if c.Content == "" && len(c.Charts)+len(c.Registries) > 0 {
		fail("content: name the folder that `upstream pack` wrote")
	}

	kinds := map[string]string{}
	claim := func(host, kind string) {
		if !hostName(host) {
			fail("%s: %q is not a host name", kind, host)
		}
		if other, ok := kinds[host]; ok && (other != kind || kind != "charts") {
			fail("%s: %s is already served as %s", kind, host, other)
		}
		kinds[host] = kind
	}
	if c.Git != nil {
		if c.Git.Root == "" {
			fail("git: root: name the folder of the bare repositories")
		}
		for _, host := range c.Git.Hosts {
			claim(host, "git")
		}
	}
	var roots []string
	for _, chart := range c.Charts {
		claim(chart.Host, "charts")
		if path.Clean(chart.Path) != "/"+strings.Trim(chart.Path, "/") || !strings.HasSuffix(chart.Path, "/") || strings.ContainsAny(chart.Path, "{} ") {
			fail("charts: %s: path %q must be clean, start and end with a slash", chart.Host, chart.Path)
		}
		if chart.Chart == "" || path.Base(chart.Chart) != chart.Chart || strings.HasPrefix(chart.Chart, ".") {
			fail("charts: %s: %q is not the name of a chart", chart.Host, chart.Chart)
		}
		if root := chart.Host + chart.Path; slices.Contains(roots, root) {
			fail("charts: %s is served twice", root)
		} else {
			roots = append(roots, root)
		}
	}
	for _, host := range c.Registries {
		claim(host, "registry")
	}
	return errors.Join(problems...)
}

// loopback refuses what another machine could reach. A name such as localhost is
// refused too: what it means is decided elsewhere.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not address:port", address)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address: use one of 127.0.0.0/8", address)
	}
	return nil
}

func hostName(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`).MatchString(name)
}
