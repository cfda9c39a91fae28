package guard

import (
	"context"
	"path"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// History looks thoroughly at every content of every commit below a folder, "." for all. What
// the memory knows is not looked at again; what it knows of the working tree's findings is
// left out, because those are reported already. It also returns how many contents there were
// to look at. A nil Memory makes it look at all of them.
func (g *Guard) History(ctx context.Context, git *source.Git, folder string) (found []finding.Finding, contents int, err error) {
	m := g.memory
	commits, err := git.History(ctx)
	if err != nil {
		return nil, 0, err
	}
	fresh, suspects := m.split(commits)
	blobs, err := git.Contents(ctx, fresh)
	if err != nil {
		return nil, 0, err
	}
	// What is found once is reported once, whichever commits have it too.
	listed := map[content]bool{}
	for _, b := range suspects {
		listed[content{b.ID(), path.Base(b.Name)}] = true
	}
	for _, b := range blobs {
		if !listed[content{b.ID(), path.Base(b.Name)}] {
			suspects = append(suspects, b)
		}
	}
	var files []File
	for _, file := range Git(git, suspects) {
		switch {
		case folder != "." && !strings.HasPrefix(file.Name, folder+"/"):
		case m.has(content{file.id, file.Name}): // and remembers it, for when the working tree has it no more
			m.note(content{file.id, file.Name}, file.Commit, true)
		default:
			files = append(files, file)
		}
	}
	if found, err = g.Check(ctx, files, true); err != nil {
		return nil, 0, err
	}
	m.seen(commits)
	return found, len(files), nil
}

// split returns the commits that are not known, and the contents of the others that are to be
// looked at again. When a known commit is gone, none is known: what it alone was named for
// may be in others.
func (m *Memory) split(commits []source.Commit) (fresh []source.Commit, suspects []source.Blob) {
	if m == nil {
		return commits, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range commits {
		if !m.commits[c.ID] {
			fresh = append(fresh, c)
		}
	}
	if len(commits)-len(fresh) != len(m.commits) {
		m.commits, m.suspects, m.changed = map[string]bool{}, map[content]string{}, true
		return commits, nil
	}
	for c, commit := range m.suspects {
		suspects = append(suspects, source.MakeBlob(c.name, commit, c.id))
	}
	return fresh, suspects
}

// has says whether the working tree has a content, with findings.
func (m *Memory) has(c content) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.present[c]
}

// seen notes that everything in these commits was looked at.
func (m *Memory) seen(commits []source.Commit) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range commits {
		if !m.commits[c.ID] {
			m.commits[c.ID], m.changed = true, true
		}
	}
}
