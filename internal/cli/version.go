package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versionInfo says what was built from what.
type versionInfo struct {
	Version  string `json:"version"` // of the module, "(devel)" for a checkout
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the checkout had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCmd(env *Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print archipel's version",
		Long: `Print the version of archipel, the Git revision it was built from, and the
compiler.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return runVersion(env, output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func runVersion(env *Env, output string) error {
	info := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok {
		info.Version = build.Main.Version
		for _, setting := range build.Settings {
			switch setting.Key {
			case "vcs.revision":
				info.Revision = setting.Value
			case "vcs.modified":
				info.Modified = setting.Value == "true"
			}
		}
	}
	if output == outputJSON {
		return writeJSON(env.Stdout, info)
	}
	words := []string{"archipel", info.Version}
	if info.Revision != "" {
		words = append(words, info.Revision)
	}
	_, err := fmt.Fprintln(env.Stdout, strings.Join(append(words, info.Go, info.Platform), " "))
	return err
}

func writeJSON(w interface{ Write([]byte) (int, error) }, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
