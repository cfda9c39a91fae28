package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Bounds on what an archive may ask of its reader, in bytes unless said
// otherwise. Those of charts are the defaults of source-controller
// (--helm-chart-max-size, --helm-chart-file-max-size), the total is Helm's.
const (
	maxChart     = 10 << 20  // of a chart, packed
	maxChartFile = 5 << 20   // of a file in a chart
	maxArtefact  = 50 << 20  // of an artefact, packed
	maxTotal     = 100 << 20 // of an archive, unpacked, headers included
	maxFiles     = 20_000    // number of entries
	maxRatio     = 200       // unpacked to packed, beyond smallArchive
	smallArchive = 8 << 20   // unpacked size up to which no ratio is too much
)

// limits are the bounds that differ between charts and artefacts.
type limits struct{ packed, file int }

func limitsOf(r Reference) limits {
	if r.Name != "" {
		return limits{packed: maxChart, file: maxChartFile}
	}
	return limits{packed: maxArtefact, file: maxTotal}
}

// gunzip returns what a packed archive holds.
func gunzip(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("the archive is not gzip: %w", err)
	}
	limit := min(max(maxRatio*len(packed), smallArchive), maxTotal)
	var unpacked bytes.Buffer
	n, err := io.Copy(&unpacked, io.LimitReader(z, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("the archive is damaged: %w", err)
	}
	if n > int64(limit) {
		return nil, fmt.Errorf("the archive has %d KiB and unpacks to more than %d MiB, which no honest one does", len(packed)>>10, limit>>20)
	}
	return unpacked.Bytes(), nil
}

// untar returns the regular files of a tar archive, sorted by name. As Flux does
// with artefacts, it leaves symbolic links out; in a chart they are refused.
func untar(archive []byte, bounds limits, skipLinks bool) ([]File, error) {
	var files []File
	total := 0
	reader := tar.NewReader(bytes.NewReader(archive))
	for count := 0; ; count++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the archive is damaged: %w", err)
		}
		if count == maxFiles {
			return nil, fmt.Errorf("the archive has more than %d files", maxFiles)
		}
		name, err := cleanName(header.Name)
		if err != nil {
			return nil, err
		}
		switch header.Typeflag {
		case tar.TypeReg:
			if !fs.ValidPath(name) || name == "." {
				return nil, fmt.Errorf("the archive holds a file with the name %q", header.Name)
			}
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeSymlink:
			if skipLinks {
				continue
			}
			return nil, fmt.Errorf("the archive holds the symbolic link %q, and a chart may hold none", name)
		default:
			return nil, fmt.Errorf("%q in the archive is neither a file nor a folder", name)
		}
		if header.Size > int64(bounds.file) {
			return nil, fmt.Errorf("the file %q in the archive has more than %d MiB", name, bounds.file>>20)
		}
		// A sparse file is larger than the archive that holds it.
		if total += int(header.Size); total > maxTotal {
			return nil, fmt.Errorf("the archive unpacks to more than %d MiB", maxTotal>>20)
		}
		data := make([]byte, header.Size)
		if _, err := io.ReadFull(reader, data); err != nil {
			return nil, fmt.Errorf("the archive is damaged: %w", err)
		}
		files = append(files, File{Name: name, Data: data})
	}
	if len(files) == 0 {
		return nil, errors.New("the archive holds no files")
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, distinct(files)
}

// distinct refuses names that no folder on disk could have all.
func distinct(files []File) error {
	names := make(map[string]bool, len(files))
	for _, f := range files {
		if names[f.Name] {
			return fmt.Errorf("the archive holds %q twice", f.Name)
		}
		names[f.Name] = true
	}
	for _, f := range files {
		for at, c := range f.Name {
			if c == '/' && names[f.Name[:at]] {
				return fmt.Errorf("%q in the archive is a file and a folder", f.Name[:at])
			}
		}
	}
	return nil
}

// cleanName refuses names that lead out of the archive. A backslash separates,
// as Helm has it for charts that were packed on Windows.
func cleanName(name string) (string, error) {
	slashed := strings.ReplaceAll(name, `\`, "/")
	switch {
	case path.IsAbs(slashed) || len(slashed) > 1 && slashed[1] == ':':
		return "", fmt.Errorf("the archive holds the absolute path %q", name)
	case slices.Contains(strings.Split(slashed, "/"), ".."):
		return "", fmt.Errorf("the archive holds %q, which leads out of it", name)
	}
	return path.Clean(slashed), nil
}
