package render

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"archipel/internal/chart"
	"archipel/internal/fleet"

	"golang.org/x/sync/errgroup"
)

func TestProf(t *testing.T) {
	dir := os.Getenv("PROF")
	if dir == "" {
		t.Skip()
	}
	root, _ := os.OpenRoot(dir)
	start := time.Now()
	f, _ := fleet.Load(root.FS())
	t.Log("fleet", time.Since(start))
	r := New(Config{FS: root.FS(), Charts: chart.New(chart.Config{Cache: "/tmp/c/cache/archipel/charts", Offline: true}), Results: os.Getenv("PROFRES")})
	start = time.Now()
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(2)
	results := make([]*Result, len(f.Sites))
	for i, s := range f.Sites {
		group.Go(func() error {
			var err error
			results[i], err = r.Site(ctx, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Log("render", time.Since(start))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Log(m.HeapAlloc>>20, "MiB", len(results[0].Objects))
}
