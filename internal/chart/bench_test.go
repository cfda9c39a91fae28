package chart

import (
	"fmt"
	"testing"

	"archipel/internal/chart/charttest"
)

// BenchmarkWarm gets a locked chart of the size of Cilium's from the cache, as
// every run of archipel does.
func BenchmarkWarm(b *testing.B) {
	server := charttest.Start(b)
	files := map[string]string{}
	for i := range 166 {
		files[fmt.Sprintf("app/templates/%d.yaml", i)] = noise(700) + fmt.Sprintf("%8192d", i)
	}
	server.Chart("app", "1.0.0", charttest.Archive(files))
	config := Config{Cache: b.TempDir(), Client: server.Client(), Mirrors: map[string][]string{"helm.example": {server.URL + "/charts"}}}
	r := Reference{Repository: helmURL, Name: "app", Version: "1.0.0"}
	cold := New(config)
	if _, err := cold.Get(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	config.Lock = NewLock(cold.Used())
	config.Offline = true
	for b.Loop() {
		if _, err := New(config).Get(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
