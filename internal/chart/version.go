package chart

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// parseVersion takes what source-controller takes for a version: three parts,
// and a v before them or not.
func parseVersion(text string) (*semver.Version, error) {
	if strings.Count(text, ".") < 2 {
		return nil, semver.ErrInvalidSemVer
	}
	return semver.NewVersion(text)
}

// isExact reports whether a reference names one version, which is not expected
// to change where it is published.
func isExact(r Reference) bool {
	_, err := parseVersion(r.Version)
	return err == nil && r.SemVer == "" && r.Digest == ""
}

// constraint parses a range; nothing is "*".
func constraint(text string) (*semver.Constraints, error) {
	c, err := semver.NewConstraint(or(text, "*"))
	if err != nil {
		return nil, fmt.Errorf("%q is neither a version nor a range of versions", text)
	}
	return c, nil
}

// newest returns the index of the newest of the versions in a range, -1 when
// there is none. Of two that differ in build metadata only, the later one by
// later wins, or else the first.
func newest(versions []string, c *semver.Constraints, later func(i, j int) bool) int {
	best, at := (*semver.Version)(nil), -1
	for i, text := range versions {
		v, err := parseVersion(text)
		if err != nil || !c.Check(v) {
			continue
		}
		if at < 0 || v.GreaterThan(best) || v.Equal(best) && later(i, at) {
			best, at = v, i
		}
	}
	return at
}

// chooseTag returns the tag that a chart's version stands for among those of an
// OCI repository, as Helm's registry client and source-controller have it: only
// strict versions count, and + is _ in a tag.
func chooseTag(tags []string, version string) (string, error) {
	var versions []string
	for _, tag := range tags {
		text := strings.ReplaceAll(tag, "_", "+")
		if _, err := semver.StrictNewVersion(text); err == nil {
			versions = append(versions, text)
		}
	}
	if slices.Contains(versions, version) {
		return version, nil
	}
	c, err := constraint(version)
	if err != nil {
		return "", err
	}
	at := newest(versions, c, func(int, int) bool { return false })
	if at < 0 {
		return "", &missingError{fmt.Sprintf("no version among its %d tags is in %s%s", len(tags), or(version, "*"), offered(versions))}
	}
	return versions[at], nil
}

// chooseArtefactTag returns the newest tag in r.SemVer, as source-controller has it.
func chooseArtefactTag(tags []string, r Reference) (string, error) {
	c, err := constraint(r.SemVer)
	if err != nil {
		return "", err
	}
	filter, err := regexp.Compile(r.SemVerFilter)
	if err != nil {
		return "", fmt.Errorf("%q is no regular expression", r.SemVerFilter)
	}
	var versions []string
	for _, tag := range tags {
		if !filter.MatchString(tag) {
			continue
		}
		if r.MediaType == chartLayer {
			tag = strings.ReplaceAll(tag, "_", "+")
		}
		versions = append(versions, tag)
	}
	at := newest(versions, c, func(int, int) bool { return false })
	if at < 0 {
		return "", &missingError{fmt.Sprintf("no version among its %d tags is in %s%s", len(tags), r.SemVer, offered(versions))}
	}
	if r.MediaType == chartLayer {
		return strings.ReplaceAll(versions[at], "+", "_"), nil
	}
	return versions[at], nil
}

// offered ends a message on what is missing with what there is.
func offered(versions []string) string {
	c, _ := constraint("*")
	if at := newest(versions, c, func(int, int) bool { return false }); at >= 0 {
		return "; the newest is " + versions[at]
	}
	return ""
}
