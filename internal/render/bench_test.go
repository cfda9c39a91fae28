package render

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/fleet"

	"golang.org/x/sync/errgroup"
)

// grown is the tree of this repository with n sites like site-a in it.
func grown(tb testing.TB, n int) (fs.FS, []*fleet.Site) {
	tb.Helper()
	f, _ := fleet.Load(os.DirFS(repository))
	files := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(repository), stack, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(os.DirFS(repository), name)
		below, ofSite := strings.CutPrefix(name, clusters+"/site-a/")
		if !ofSite {
			files[name] = content(string(data))
			return err
		}
		for i := range n {
			site := fmt.Sprintf("site-%d", i)
			files[clusters+"/"+site+"/"+below] = content(strings.ReplaceAll(string(data), "site-a", site))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	all := make([]*fleet.Site, n)
	for i := range n {
		site := *f.Sites[0]
		site.Name = fmt.Sprintf("site-%d", i)
		all[i] = &site
	}
	return files, all
}

// BenchmarkSites renders fleets of growing size, two sites at a time, without charts:
// first with nothing kept, then from the builds that were kept.
func BenchmarkSites(b *testing.B) {
	for _, n := range []int{2, 20, 200} {
		files, all := grown(b, n)
		for _, kept := range []string{"", b.TempDir()} {
			name := fmt.Sprintf("%d/anew", n)
			if kept != "" {
				name = fmt.Sprintf("%d/kept", n)
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				run := func() {
					r := New(Config{FS: files, Results: kept})
					group, ctx := errgroup.WithContext(b.Context())
					group.SetLimit(2)
					for _, site := range all {
						group.Go(func() error {
							result, err := r.Site(ctx, site)
							if err == nil && len(result.Objects) < 20 {
								err = fmt.Errorf("%s has %d objects", site.Name, len(result.Objects))
							}
							return err
						})
					}
					if err := group.Wait(); err != nil {
						b.Fatal(err)
					}
				}
				if kept != "" {
					run()
				}
				for b.Loop() {
					run()
				}
				b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/float64(n), "ms/site")
			})
		}
	}
}
