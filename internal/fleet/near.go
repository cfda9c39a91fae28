package fleet

import "strings"

// Nearest returns the known name that a mistyped one most likely stands for.
func Nearest(name string, known []string) (string, bool) { return nearest(name, known) }

// nearest returns the known name that a mistyped one most likely stands for.
// Short names must be nearer than long ones: "cpu" is no typing error for "mtu".
func nearest(name string, known []string) (string, bool) {
	name = plain(name)
	best, least := "", 3
	for _, k := range known {
		limit := 2
		switch {
		case len(k) < 5:
			limit = 0
		case len(k) < 8:
			limit = 1
		}
		if d := distance(name, plain(k), limit); d <= limit && d < least {
			best, least = k, d
		}
	}
	return best, best != ""
}

// plain removes the differences in writing that people mistake most often.
func plain(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "-", "_")
}

// distance counts the bytes to add, remove, replace or swap with their
// neighbour to get from a to b (optimal string alignment). It returns more than
// limit, without the exact count, when lengths alone exceed it.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	two := make([]int, len(b)+1)
	one := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one, row = one, row, two
	}
	return one[len(b)]
}
