package guard

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Memory knows what was found clean, thoroughly, by earlier runs. It holds no content and no
// finding: where something was found it says only which content is to be looked at again. It
// is safe for concurrent use.
type Memory struct {
	file   string
	header string

	mu       sync.Mutex
	clean    map[content]bool
	commits  map[string]bool    // whose contents are all in clean or in suspects
	suspects map[content]string // of the history, with their commits
	present  map[content]bool   // that the working tree has, with findings
	changed  bool
}

// content is what a file of a name holds, as Git names it. The name counts: what is found
// depends on it too.
type content struct{ id, name string }

// maxMemory bounds the file of a Memory in bytes: it has some 100 for each content.
const maxMemory = 256 << 20

// OpenMemory reads what was kept in a file by the same detector. One that is not there, or
// that is not whole, is an empty memory.
func OpenMemory(file, detector string) *Memory {
	m := &Memory{file: file, header: fmt.Sprintf("archipel guard 1 %q", detector), present: map[content]bool{}}
	if !m.read() {
		m.clean, m.commits, m.suspects = map[content]bool{}, map[string]bool{}, map[content]string{}
	}
	return m
}

// read fills the memory, and says whether the file was whole.
func (m *Memory) read() bool {
	info, err := os.Stat(m.file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxMemory {
		return false
	}
	data, err := os.ReadFile(m.file)
	if err != nil {
		return false
	}
	m.clean, m.commits, m.suspects = map[content]bool{}, map[string]bool{}, map[content]string{}
	text := string(data)
	first := true
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if first {
			if first = false; line != m.header {
				return false
			}
			continue
		}
		kind, rest, _ := strings.Cut(line, " ")
		if kind == "end" {
			return rest == ""
		}
		id, rest, _ := strings.Cut(rest, " ")
		switch kind {
		case "commit":
			m.commits[id] = true
			continue
		case "suspect":
			commit, quoted, _ := strings.Cut(rest, " ")
			name, err := strconv.Unquote(quoted)
			if err != nil {
				return false
			}
			m.suspects[content{id, name}] = commit
		case "clean":
			name, err := strconv.Unquote(rest)
			if err != nil {
				return false
			}
			m.clean[content{id, name}] = true
		default:
			return false
		}
	}
	return false
}

// Save writes the file anew when there is something new.
func (m *Memory) Save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.changed {
		return nil
	}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	fmt.Fprintln(w, m.header)
	for _, id := range slices.Sorted(maps.Keys(m.commits)) {
		fmt.Fprintf(w, "commit %s\n", id)
	}
	for c, commit := range m.suspects {
		fmt.Fprintf(w, "suspect %s %s %q\n", c.id, commit, c.name)
	}
	for c := range m.clean {
		fmt.Fprintf(w, "clean %s %q\n", c.id, c.name)
	}
	fmt.Fprintln(w, "end")
	_ = w.Flush() // of a buffer in memory
	if err := os.MkdirAll(filepath.Dir(m.file), 0o700); err != nil {
		return fmt.Errorf("keeping what was found clean: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(m.file), ".new-*")
	if err != nil {
		return fmt.Errorf("keeping what was found clean: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(b.Bytes())
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), m.file)
	}
	if err != nil {
		return fmt.Errorf("keeping what was found clean: %w", err)
	}
	m.changed = false
	return nil
}

// knows says whether a content was found clean. A nil Memory knows nothing.
func (m *Memory) knows(c content) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clean[c]
}

// note keeps the outcome of a thorough look at a content, of a commit or of the working tree.
func (m *Memory) note(c content, commit string, found bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !found:
		m.clean[c], m.changed = true, true
		delete(m.suspects, c)
	case commit == "":
		m.present[c] = true
	default:
		m.changed = m.changed || m.suspects[c] != commit
		m.suspects[c] = commit
	}
}
