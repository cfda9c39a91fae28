package render

import (
	"bufio"
	"bytes"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// patterns are rules in the form of .gitignore; a later one wins.
type patterns []gitignore.Pattern

// match says whether the patterns exclude a file or a folder. As in Flux, a file
// in an excluded folder is excluded unless a later pattern takes it back.
func (p patterns) match(name string, folder bool) bool {
	return len(p) > 0 && gitignore.NewMatcher(p).Match(strings.Split(name, "/"), folder)
}

// What source-controller leaves out of every artefact, and what it leaves out when
// no rule is given: fluxcd/pkg/sourceignore.
const (
	excludedAlways = ".git/,.gitignore,.gitmodules,.gitattributes"
	excludedByRule = "*.jpg,*.jpeg,*.gif,*.png,*.wmv,*.flv,*.tar.gz,*.zip," +
		".github/,.circleci/,.travis.yml,.gitlab-ci.yml,appveyor.yml,.drone.yml,cloudbuild.yaml,codeship-services.yml,codeship-steps.yml," +
		"**/.goreleaser.yml,**/.sops.yaml,**/.flux.yaml"
)

// archive is the tree that source-controller makes of t for a source: the rules of
// its .sourceignore files, then spec.ignore. Any rule replaces the default ones.
func (t *tree) archive(ignore string) (*tree, error) {
	var own patterns
	for _, folder := range slices.Sorted(maps.Keys(t.folders)) {
		f := t.files[path.Join(folder, ".sourceignore")]
		if f == nil {
			continue
		}
		data, err := f.content()
		if err != nil {
			return nil, err
		}
		own = append(own, parsePatterns(data, folder)...)
	}
	own = append(own, parsePatterns([]byte(ignore), "")...)
	all := patterns{}
	for p := range strings.SplitSeq(excludedAlways, ",") {
		all = append(all, gitignore.ParsePattern(p, nil))
	}
	if len(own) == 0 {
		for p := range strings.SplitSeq(excludedByRule, ",") {
			all = append(all, gitignore.ParsePattern(p, nil))
		}
	}
	return t.without(append(all, own...)), nil
}

func parsePatterns(data []byte, folder string) patterns {
	var domain []string
	if folder != "" {
		domain = strings.Split(folder, "/")
	}
	var list patterns
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			list = append(list, gitignore.ParsePattern(line, domain))
		}
	}
	return list
}

// readPatterns reads the rules of one folder's file of rules; none when there is no such file.
func readPatterns(repository fs.FS, folder, name string) patterns {
	data, err := readBounded(repository, path.Join(folder, name))
	if err != nil {
		return nil
	}
	if folder == "." {
		folder = ""
	}
	return parsePatterns(data, folder)
}
