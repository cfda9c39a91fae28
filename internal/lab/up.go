package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/tool"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Serving is reported for the lab as a whole once its upstreams answer.
const Serving = "serving the working tree"

// stateSpace is the least free space, in bytes, to raise sites with: etcd's
// write-ahead log alone takes 64 MB a site.
const stateSpace = 500 << 20

// Up raises sites: it starts what does not run and changes nothing else, so
// running it again repairs a lab. It returns once Flux works on the sites; what
// Flux makes of them is for status to tell. undo stops what was started and
// removes the state that was made; when Up fails or ctx ends, that has happened
// already.
func (l *Lab) Up(ctx context.Context, f *fleet.Fleet, sites []*fleet.Site, repository fs.FS, secrets *Secrets, programs Programs, report Report) (undo func() error, err error) {
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	before, err := l.Processes()
	if err != nil {
		return nil, err
	}
	fresh := !l.Exists()
	if err := l.up(ctx, f, sites, repository, secrets, programs, report); err != nil {
		return nil, errors.Join(err, l.undo(before, fresh))
	}
	return func() error {
		unlock, err := l.lock()
		if err != nil {
			return err
		}
		defer unlock()
		return l.undo(before, fresh)
	}, nil
}

// undo stops what was started since before was taken.
func (l *Lab) undo(before []tool.Process, fresh bool) error {
	now, err := l.Processes()
	if err != nil {
		return err
	}
	started := slices.DeleteFunc(now, func(p tool.Process) bool {
		return slices.ContainsFunc(before, func(b tool.Process) bool { return b.PID == p.PID })
	})
	if err := tool.Stop(started, 0); err != nil {
		return err
	}
	if fresh {
		return l.remove()
	}
	return nil
}

func (l *Lab) up(ctx context.Context, f *fleet.Fleet, sites []*fleet.Site, repository fs.FS, secrets *Secrets, programs Programs, report Report) error {
	if err := checkSpace(l.dir, stateSpace, "a lab"); err != nil {
		return err
	}
	r, err := l.readRecord()
	if errors.Is(err, os.ErrNotExist) {
		r.Repository = l.config.Repository
		r.Slot, err = l.chooseSlot()
	}
	if err != nil {
		return err
	}
	if r.Hosts {
		return ErrOtherKind
	}
	report("", "preparing secrets and serving the working tree")
	if err := l.prepareSecrets(f, secrets); err != nil {
		return err
	}
	r.RepositorySecrets = !secrets.own()
	if _, err := l.serve(ctx, f, r.RepositorySecrets); err != nil {
		return err
	}
	anew, err := l.startUpstream(ctx, f, upstreamOnLoopback(r.Slot), l.credentialsFile(secrets), programs)
	if err != nil {
		return err
	}
	report("", Serving)
	if anew {
		if err := l.trustUpstream(f, r, programs); err != nil {
			return err
		}
	}
	var layouts []layout
	for _, site := range sites {
		address := siteAddress(r.Slot, site.Facts.ClusterID)
		certificates, made, err := makePKI(filepath.Join(l.siteDir(site.Name), "pki"), address, l.config.Now())
		if err != nil {
			return err
		}
		if made { // what runs trusts the old ones
			if err := l.stopSites(site.Name); err != nil {
				return err
			}
		}
		layouts = append(layouts, l.layout(site, r.Slot, certificates, programs))
		if !contains(r.Sites, site.Name) {
			r.Sites = append(r.Sites, site.Name)
		}
	}
	slices.Sort(r.Sites)
	if err := l.writeRecord(r); err != nil {
		return err
	}
	if err := l.writeKubeconfig(f, r); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range layouts {
		group.Go(func() error {
			return l.raise(ctx, s, repository, secrets, func(doing string) { report(s.site.Name, doing) })
		})
	}
	return group.Wait()
}

func (l *Lab) layout(site *fleet.Site, slot int, certificates pki, programs Programs) layout {
	return layout{
		site: site, address: siteAddress(slot, site.Facts.ClusterID), upstream: upstreamAddress(slot), dir: l.siteDir(site.Name),
		group: l.dir, caFile: l.upstreamCA(), pki: certificates, programs: programs,
	}
}

// trustUpstream starts every source-controller that runs anew: it reads the authority
// of the upstream server once, and each run of that server has another.
func (l *Lab) trustUpstream(f *fleet.Fleet, r record, programs Programs) error {
	const component = "source-controller"
	running, err := l.Processes()
	if err != nil {
		return err
	}
	for _, name := range r.Sites {
		stale := slices.DeleteFunc(slices.Clone(running), func(p tool.Process) bool { return p.Name != processName(name, component) })
		site, ok := f.Site(name)
		if len(stale) == 0 || !ok {
			continue
		}
		if err := tool.Stop(stale, 0); err != nil {
			return err
		}
		if err := l.start(l.layout(site, r.Slot, l.pki(name), programs), component); err != nil {
			return err
		}
	}
	return nil
}

// pki are the certificates of a raised site.
func (l *Lab) pki(site string) pki { return pki{dir: filepath.Join(l.siteDir(site), "pki")} }

// writeKubeconfig writes the administrator's kubeconfig of all raised sites.
func (l *Lab) writeKubeconfig(f *fleet.Fleet, r record) error {
	var contexts []kubeconfigContext
	for _, name := range r.Sites {
		site, ok := f.Site(name)
		if !ok { // gone from the inventories
			continue
		}
		address := netip.AddrPortFrom(siteAddress(r.Slot, site.Facts.ClusterID), apiserverPort)
		contexts = append(contexts, kubeconfigContext{
			name: name, server: "https://" + address.String(), user: "admin",
			pki: l.pki(name),
		})
	}
	config, err := kubeconfig(contexts)
	if err != nil {
		return err
	}
	return writeFile(l.Kubeconfig(), config)
}

func (l *Lab) upstreamCA() string { return filepath.Join(l.dir, "upstream-ca.pem") }

// upstreamConfig is the file that the lab's upstream program reads.
type upstreamConfig struct {
	Listen     string           `json:"listen"`
	Proxy      string           `json:"proxy"`
	AnyAddress bool             `json:"anyAddress,omitempty"`
	CA         string           `json:"ca"`
	Content    string           `json:"content"`
	Git        upstreamGit      `json:"git"`
	Charts     []upstreamCharts `json:"charts"`
	Registries []string         `json:"registries"`
}

type upstreamGit struct {
	Root        string   `json:"root"`
	Hosts       []string `json:"hosts"`
	Credentials string   `json:"credentials"`
}

type upstreamCharts struct {
	Host  string `json:"host"`
	Path  string `json:"path"`
	Chart string `json:"chart"`
}

// upstreamPlace is where the upstreams run.
type upstreamPlace struct {
	address netip.Addr
	enter   []string // as in program
	ready   func(context.Context) bool
}

// upstreamOnLoopback is the place of a lab whose nodes are simulated.
func upstreamOnLoopback(slot int) upstreamPlace {
	address := upstreamAddress(slot)
	url := "http://" + netip.AddrPortFrom(address, upstreamPort).String() + "/healthz"
	return upstreamPlace{address: address, ready: func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}}
}

// startUpstream starts what answers the production URLs, unless it runs; anew says that
// it did.
func (l *Lab) startUpstream(ctx context.Context, f *fleet.Fleet, place upstreamPlace, credentials string, programs Programs) (anew bool, err error) {
	config := upstreamConfig{
		Listen:     netip.AddrPortFrom(place.address, upstreamPort).String(),
		Proxy:      netip.AddrPortFrom(place.address, proxyPort).String(),
		AnyAddress: !place.address.IsLoopback(),
		CA:         l.upstreamCA(),
		Content:    programs.Content,
		Git:        upstreamGit{Root: l.gitDir(), Credentials: credentials},
		// Where the tree pulls from; a URL that is missing here is refused, and the proxy logs it.
		Charts: []upstreamCharts{
			{Host: "helm.cilium.io", Path: "/", Chart: "cilium"},
			{Host: "metallb.github.io", Path: "/metallb/", Chart: "metallb"},
		},
		Registries: []string{"ghcr.io"},
	}
	for _, site := range f.Sites {
		r, err := remoteOf(site)
		if err != nil {
			return false, err
		}
		if !contains(config.Git.Hosts, r.host) {
			config.Git.Hosts = append(config.Git.Hosts, r.host)
		}
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return false, fmt.Errorf("writing the configuration of the lab's upstreams: %w", err)
	}
	file := filepath.Join(l.dir, "upstream.json")
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("reading the configuration of the lab's upstreams: %w", err)
	}
	running, err := l.Processes()
	if err != nil {
		return false, err
	}
	name := processName("", upstreamComponent)
	if string(old) != string(data) {
		if err := writeFile(file, data); err != nil {
			return false, err
		}
		stale := slices.DeleteFunc(slices.Clone(running), func(p tool.Process) bool { return p.Name != name })
		if err := tool.Stop(stale, 0); err != nil {
			return false, err
		}
		running = nil
	}
	git, err := tool.Find("git")
	if err != nil {
		return false, err
	}
	p := program{
		daemon: tool.Daemon{
			Group: l.dir, Name: name, Path: programs.Upstream, Args: []string{"serve", "--config=" + file},
			Env: []string{"PATH=" + filepath.Dir(git), "HOME=" + l.dir},
			Log: l.LogFile("", upstreamComponent),
		},
		enter: place.enter,
	}
	if len(p.enter) == 0 { // else in a network where nobody else listens
		p.ports = []int{upstreamPort, proxyPort}
	}
	if anew, err = startProgram(p, place.address, running); err != nil {
		return false, err
	}
	return anew, l.awaitUpstream(ctx, place, name)
}

func (l *Lab) awaitUpstream(ctx context.Context, place upstreamPlace, name string) error {
	for !place.ready(ctx) {
		running, err := l.Processes()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(running, func(p tool.Process) bool { return p.Name == name }) {
			log := l.LogFile("", upstreamComponent)
			return &DeadError{Component: upstreamComponent, Log: log, Last: lastWords(log, 5)}
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return err
		}
	}
	return nil
}

// checkSpace fails when the file system of dir has less than need bytes left.
func checkSpace(dir string, need uint64, what string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("looking at the free space of %s: %w", dir, err)
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < need {
		return fmt.Errorf("%s needs %d MiB in %s, and %d MiB are free; make room and try again", what, need>>20, dir, free>>20)
	}
	return nil
}

// sleep waits, or returns early with the reason why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
