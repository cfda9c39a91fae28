package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"archipel/internal/chart/charttest"
)

func TestHostileArchives(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	sized := func(name string, size int) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(size)}
	}
	zeros := func(size int) string { return strings.Repeat("\x00", size) }
	var many []tar.Header
	for i := range maxFiles + 1 {
		many = append(many, file(fmt.Sprintf("app/%d", i)))
	}
	contents := map[string]string{"app/large": zeros(maxChartFile + 1), "app/bomb": zeros(smallArchive)}
	truncated := charttest.Chart("app", "1.0.0")
	for name, test := range map[string]struct {
		archive []byte
		want    string
	}{
		"upwards":        {charttest.Tar([]tar.Header{file("app/../../etc/passwd")}, nil), "leads out of it"},
		"upwards dos":    {charttest.Tar([]tar.Header{file(`app\..\..\x`)}, nil), "leads out of it"},
		"upwards folder": {charttest.Tar([]tar.Header{{Name: "../x/", Typeflag: tar.TypeDir}}, nil), "leads out of it"},
		"absolute":       {charttest.Tar([]tar.Header{file("/etc/passwd")}, nil), "absolute path"},
		"drive":          {charttest.Tar([]tar.Header{file(`c:\x`)}, nil), "absolute path"},
		"no name":        {charttest.Tar([]tar.Header{file(".")}, nil), `with the name "."`},
		"not UTF-8":      {charttest.Tar([]tar.Header{file("app/\xff")}, nil), "with the name"},
		"link":           {charttest.Tar([]tar.Header{{Name: "app/x", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}}, nil), "symbolic link"},
		"hard link":      {charttest.Tar([]tar.Header{{Name: "app/x", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}}, nil), "neither a file nor a folder"},
		"device":         {charttest.Tar([]tar.Header{{Name: "app/x", Typeflag: tar.TypeChar}}, nil), "neither a file nor a folder"},
		"twice":          {charttest.Tar([]tar.Header{file("app/x"), file("app/./x")}, nil), `holds "app/x" twice`},
		"file, folder":   {charttest.Tar([]tar.Header{file("app/x"), file("app/x-y"), file("app/x/y")}, nil), "is a file and a folder"},
		"empty":          {charttest.Tar(nil, nil), "holds no files"},
		"folders only":   {charttest.Tar([]tar.Header{{Name: "app/", Typeflag: tar.TypeDir}}, nil), "holds no files"},
		"many":           {charttest.Tar(many, nil), "more than 20000 files"},
		"large file":     {charttest.Tar([]tar.Header{sized("app/large", maxChartFile+1)}, contents), "has more than 5 MiB"},
		"bomb":           {charttest.Tar([]tar.Header{sized("app/bomb", smallArchive)}, contents), "unpacks to more than 8 MiB"},
		"not gzip":       {[]byte("<html>"), "not gzip"},
		"truncated":      {truncated[:len(truncated)-20], "damaged"},
		"not tar":        {gzipped(noise(2000)), "damaged"},
		"empty file":     {nil, "not gzip"},
	} {
		unpacked, err := gunzip(test.archive)
		if err == nil {
			_, err = untar(unpacked, limitsOf(Reference{Name: "app"}), false)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

// TestTotal reads an archive whose files are allowed one by one, but not together.
func TestTotal(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range maxTotal/maxChartFile + 1 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("app/%d", i), Typeflag: tar.TypeReg, Size: maxChartFile}); err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, maxChartFile))
	}
	w.Close()
	if _, err := untar(b.Bytes(), limitsOf(Reference{Name: "app"}), false); err == nil || !strings.Contains(err.Error(), "more than 100 MiB") {
		t.Error(err)
	}
}

// TestSparse reads an archive of GNU tar's sparse format that says it is far
// larger than it is.
func TestSparse(t *testing.T) {
	const size = maxTotal + 1
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	record := func(key, value string) string {
		text := fmt.Sprintf(" %s=%s\n", key, value)
		for n := len(text); ; n++ {
			if s := fmt.Sprint(n) + text; len(s) == n {
				return s
			}
		}
	}
	pax := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "app/x") + record("GNU.sparse.realsize", fmt.Sprint(size))
	for _, h := range []tar.Header{{Name: "pax", Typeflag: tar.TypeReg, Size: int64(len(pax))}, {Name: "app/x", Typeflag: tar.TypeReg, Size: 512}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Name == "pax" {
			w.Write([]byte(pax))
		} else {
			w.Write(append([]byte("1\n0\n0\n"), make([]byte, 506)...))
		}
	}
	w.Close()
	archive := b.Bytes()
	archive[156] = tar.TypeXHeader
	sum := 0
	copy(archive[148:156], "        ")
	for _, c := range archive[:512] {
		sum += int(c)
	}
	copy(archive[148:156], fmt.Sprintf("%06o\x00 ", sum))
	if _, err := untar(archive, limitsOf(Reference{}), true); err == nil || !strings.Contains(err.Error(), "more than 100 MiB") {
		t.Error(err)
	}
}

// TestArtefactLinks: source-controller leaves symbolic links out of artefacts.
func TestArtefactLinks(t *testing.T) {
	archive := charttest.Tar([]tar.Header{
		{Name: "./", Typeflag: tar.TypeDir}, {Name: "./a/b.yaml", Typeflag: tar.TypeReg, Size: 1},
		{Name: "link", Linkname: "a", Typeflag: tar.TypeSymlink},
	}, map[string]string{"./a/b.yaml": "x"})
	unpacked, err := gunzip(archive)
	if err != nil {
		t.Fatal(err)
	}
	files, err := untar(unpacked, limitsOf(Reference{}), true)
	if err != nil || len(files) != 1 || files[0].Name != "a/b.yaml" || string(files[0].Data) != "x" {
		t.Error(files, err)
	}
}

func TestChartFolder(t *testing.T) {
	p := &Package{Files: []File{{"README", nil}, {"app/Chart.yaml", []byte("\xEF\xBB\xBFname: app")}, {"app/templates/x.yaml", nil}}}
	files := p.Chart()
	if len(files) != 2 || files[0].Name != "Chart.yaml" || string(files[0].Data) != "name: app" || files[1].Name != "templates/x.yaml" {
		t.Errorf("%+v", files)
	}
}

func FuzzUntar(f *testing.F) {
	for _, archive := range [][]byte{
		charttest.Chart("app", "1.0.0"),
		charttest.Tar([]tar.Header{{Name: "app/x", Linkname: "y", Typeflag: tar.TypeSymlink}, {Name: "b", Typeflag: tar.TypeReg}}, nil),
	} {
		unpacked, err := gunzip(archive)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(unpacked)
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		files, err := untar(archive, limitsOf(Reference{Name: "app"}), false)
		if err != nil {
			return
		}
		for _, file := range files {
			if !fs.ValidPath(file.Name) || file.Name == "." {
				t.Errorf("name %q", file.Name)
			}
		}
	})
}

// noise is text that does not pack well, the same each time.
func noise(size int) string {
	b := make([]byte, size)
	state := uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return string(b)
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.Bytes()
}
