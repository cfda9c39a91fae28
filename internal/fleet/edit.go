package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// HostsFile is where the nodes of a site stand, from the repository's root.
func HostsFile(site string) string { return path.Join(inventories, site, "hosts.yml") }

// AddNode returns the content of a site's hosts.yml with one more node. All other
// lines stay as they are. It does not check what the fleet then says: load it
// from an Overlay.
func AddNode(content []byte, name string, address netip.Addr, role Role) ([]byte, error) {
	group, err := groupOf(content, role)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(content), "\n")+"\n", "\n")
	lines = lines[:len(lines)-1] // what comes after the last line
	step, column := 2, group.key.Column+2
	if len(group.hosts.Content) > 0 {
		column = group.hosts.Content[0].Column
	}
	indent := strings.Repeat(" ", column-1)
	for i := 1; i < len(group.hosts.Content); i += 2 {
		if v := group.hosts.Content[i]; v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 && len(v.Content) > 0 {
			step = v.Content[0].Column - group.hosts.Content[i-1].Column
		}
	}
	entry := []string{indent + name + ":\n", indent + strings.Repeat(" ", max(step, 1)) + "ansible_host: " + address.String() + "\n"}
	last := max(lastLine(group.hosts), group.key.Line)
	return []byte(strings.Join(slices.Insert(lines, last, entry...), "")), nil
}

// RemoveNode returns the content of a site's hosts.yml without a node, wherever
// a group lists it.
func RemoveNode(content []byte, name string) ([]byte, error) {
	root, err := document(content)
	if err != nil {
		return nil, err
	}
	var remove [][2]int // first line and the line after the last
	var empty error
	eachHosts(root, func(group string, _, hosts *yaml.Node) {
		for i := 0; i+1 < len(hosts.Content); i += 2 {
			key, value := hosts.Content[i], hosts.Content[i+1]
			if key.Value != name {
				continue
			}
			if hosts.Style&yaml.FlowStyle != 0 {
				empty = fmt.Errorf("the group %s is written in braces, which archipel does not edit", group)
				return
			}
			remove = append(remove, [2]int{key.Line - 1, max(lastLine(value), key.Line)})
		}
	})
	if empty != nil {
		return nil, empty
	}
	if len(remove) == 0 {
		return nil, fmt.Errorf("%s does not stand in it by its own name", name)
	}
	slices.SortFunc(remove, func(a, b [2]int) int { return b[0] - a[0] })
	lines := strings.SplitAfter(string(content), "\n")
	for _, r := range remove {
		lines = slices.Delete(lines, r[0], min(r[1], len(lines)))
	}
	return []byte(strings.Join(lines, "")), nil
}

// hostGroup is a group of an inventory as its author wrote it.
type hostGroup struct{ key, hosts *yaml.Node }

func document(content []byte) (*yaml.Node, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		return nil, fmt.Errorf("it is no YAML: %w", err)
	}
	if len(root.Content) != 1 {
		return nil, errors.New("it is empty")
	}
	return root.Content[0], nil
}

// groupOf finds the hosts of the group of a role.
func groupOf(content []byte, role Role) (hostGroup, error) {
	root, err := document(content)
	if err != nil {
		return hostGroup{}, err
	}
	wanted := string(role) + "s"
	var found []hostGroup
	eachHosts(root, func(group string, key, hosts *yaml.Node) {
		if group == wanted {
			found = append(found, hostGroup{key, hosts})
		}
	})
	if len(found) != 1 || found[0].hosts.Style&yaml.FlowStyle != 0 {
		return hostGroup{}, fmt.Errorf("it has no single group %s with hosts below it, one a line: add the node by hand", wanted)
	}
	return found[0], nil
}

// eachHosts calls see for the hosts of every group, and for the key that they stand below.
func eachHosts(node *yaml.Node, see func(group string, key, hosts *yaml.Node)) {
	var walk func(name string, group *yaml.Node)
	walk = func(name string, group *yaml.Node) {
		if group.Kind != yaml.MappingNode {
			return
		}
		for _, p := range pairs(group) {
			switch {
			case p.key.Value == "hosts" && (p.node.Kind == yaml.MappingNode || p.node.Tag == "!!null"):
				see(name, p.key, p.node)
			case p.key.Value == "children" && p.node.Kind == yaml.MappingNode:
				for _, child := range pairs(p.node) {
					walk(child.key.Value, child.node)
				}
			}
		}
	}
	if node.Kind == yaml.MappingNode {
		for _, p := range pairs(node) {
			walk(p.key.Value, p.node)
		}
	}
}

// lastLine is the line that a value ends on, or begins on when it is one scalar.
func lastLine(node *yaml.Node) int {
	last := node.Line
	if node.Kind == yaml.ScalarNode && node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		last += strings.Count(node.Value, "\n")
	}
	if node.Kind != yaml.AliasNode {
		for _, child := range node.Content {
			last = max(last, lastLine(child))
		}
	}
	return last
}

// Overlay is a repository in which one file has another content.
func Overlay(repo fs.FS, name string, content []byte) fs.FS { return overlay{repo, name, content} }

type overlay struct {
	fs.FS
	name    string
	content []byte
}

func (o overlay) Open(name string) (fs.File, error) {
	if name != o.name {
		return o.FS.Open(name)
	}
	return &overlaid{bytes.NewReader(o.content), o}, nil
}

// overlaid is the open file of an overlay.
type overlaid struct {
	*bytes.Reader
	of overlay
}

func (f *overlaid) Stat() (fs.FileInfo, error) { return overlayInfo{f.of}, nil }
func (*overlaid) Close() error                 { return nil }

type overlayInfo struct{ of overlay }

func (i overlayInfo) Name() string     { return path.Base(i.of.name) }
func (i overlayInfo) Size() int64      { return int64(len(i.of.content)) }
func (overlayInfo) Mode() fs.FileMode  { return 0o644 }
func (overlayInfo) ModTime() time.Time { return time.Time{} }
func (overlayInfo) IsDir() bool        { return false }
func (overlayInfo) Sys() any           { return nil }
