package render

import (
	"fmt"
	"os"
	"testing"
)

func TestSiteQuick(t *testing.T) {
	r := New(Config{FS: os.DirFS(repository)})
	for _, s := range sites(t).Sites {
		res, err := r.Site(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range res.Objects {
			fmt.Println(o.name(), o.Origin.Position, o.Origin.Kustomization.Name)
		}
		for _, k := range res.Kustomizations {
			fmt.Println("K", k.Name, k.Path, k.Built, k.Source != nil, k.DependsOn, len(k.Variables), len(k.Used))
		}
		fmt.Println(res.Skipped)
		fmt.Println(res.Findings)
	}
}
