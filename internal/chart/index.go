package chart

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

// maxIndex bounds the index of a repository, in bytes. It is source-controller's
// default (--helm-index-max-size).
const maxIndex = 50 << 20

// index is what the index.yaml of a Helm repository says, as far as it is needed.
type index struct {
	APIVersion string                  `json:"apiVersion" yaml:"apiVersion"`
	Entries    map[string][]indexEntry `json:"entries" yaml:"entries"`
}

type indexEntry struct {
	Version string   `json:"version" yaml:"version"`
	URLs    []string `json:"urls" yaml:"urls"`
	Created string   `json:"created" yaml:"created"`
	Digest  string   `json:"digest" yaml:"digest"`
}

func parseIndex(data []byte) (*index, error) {
	i := &index{}
	decode := yaml.Unmarshal
	if json.Valid(data) {
		decode = json.Unmarshal
	}
	if err := decode(data, i); err != nil {
		return nil, errors.New("it is not the index of a Helm repository")
	}
	if i.APIVersion == "" {
		return nil, errors.New("it is not the index of a Helm repository: it has no apiVersion")
	}
	return i, nil
}

// choose returns the entry of a chart that a version or a range stands for, as
// source-controller has it: the version itself, else the newest in the range;
// of equal ones the last created.
func (i *index) choose(name, version string) (*indexEntry, error) {
	entries, ok := i.Entries[name]
	if !ok {
		return nil, &missingError{fmt.Sprintf("the repository has no chart %q", name)}
	}
	versions := make([]string, len(entries))
	for n, entry := range entries {
		versions[n] = entry.Version
		if _, err := semver.NewVersion(version); err == nil && entry.Version == version {
			return &entries[n], nil
		}
	}
	c, err := constraint(version)
	if err != nil {
		return nil, err
	}
	at := newest(versions, c, func(i, j int) bool { return entries[i].created().After(entries[j].created()) })
	if at < 0 {
		return nil, &missingError{fmt.Sprintf("the repository has no version %s of it%s", or(version, "*"), offered(versions))}
	}
	return &entries[at], nil
}

func (e *indexEntry) created() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, e.Created)
	return t
}

// digest returns "sha256:...", or "" when the index promises nothing.
func (e *indexEntry) digest() string {
	if e.Digest == "" || strings.Contains(e.Digest, ":") {
		return e.Digest
	}
	return "sha256:" + e.Digest
}

// archiveURL returns where the archive of an entry is. A URL in the index may be
// relative to the repository, whose query it then gets, as Helm has it.
func (e *indexEntry) archiveURL(repository *url.URL) (*url.URL, error) {
	if len(e.URLs) == 0 {
		return nil, &missingError{"the index has no URL for it"}
	}
	to, err := url.Parse(e.URLs[0])
	if err != nil {
		return nil, errors.New("the index has no valid URL for it")
	}
	if !to.IsAbs() {
		to = repository.JoinPath("/").ResolveReference(to)
		to.RawQuery = repository.RawQuery
	}
	switch {
	case to.Scheme != "https" && to.Scheme != "http" || to.Host == "":
		return nil, fmt.Errorf("the index leads to %s, which is no https:// URL", to.Redacted())
	case to.Scheme == "http" && repository.Scheme == "https":
		return nil, fmt.Errorf("the index leads from https:// to %s, which nobody vouches for", to.Redacted())
	case to.User != nil:
		return nil, fmt.Errorf("the index leads to a URL with credentials, %s", to.Redacted())
	}
	return to, nil
}
