package policy

import (
	"path"
	"strings"
)

// match reports whether a pattern covers a path, both slash-separated. An
// element ** stands for any number of folders, none included; any other element
// is as path.Match has it.
func match(pattern, name string) bool {
	// covered[n] says whether the elements of the pattern seen so far cover the
	// first n elements of the path. So the time is the product of both lengths,
	// however many ** there are.
	elements := strings.Split(name, "/")
	covered := make([]bool, len(elements)+1)
	covered[0] = true
	for part := range strings.SplitSeq(pattern, "/") {
		if part == "**" {
			for n := range elements {
				covered[n+1] = covered[n+1] || covered[n]
			}
			continue
		}
		for n := len(elements); n > 0; n-- {
			ok, err := path.Match(part, elements[n-1])
			covered[n] = err == nil && ok && covered[n-1]
		}
		covered[0] = false
	}
	return covered[len(elements)]
}

// validPattern reports whether every element of a pattern is well-formed.
func validPattern(pattern string) bool {
	for part := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(part, ""); err != nil || part == "" || part == ".." || part == "." {
			return false
		}
	}
	return true
}
