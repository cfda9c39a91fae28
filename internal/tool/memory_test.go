package tool

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What is in memory is a regular file for the program, as Ansible asks of its
// files of variables, and can be read more than once.
func TestRunInheritsFiles(t *testing.T) {
	secret, err := Memory("variables", []byte("in memory\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	out, err := Run(t.Context(), Command{
		Name: "sh", Args: []string{"-c", "test -f /dev/fd/3 && cat /dev/fd/3 /dev/fd/3 && echo event >&4; (echo x >>/dev/fd/3) 2>/dev/null || echo sealed"},
		Files: []*os.File{secret, write}, DieWithParent: true,
	})
	if want := "in memory\nin memory\nsealed\n"; err != nil || string(out) != want {
		t.Fatalf("got %q, %v", out, err)
	}
	write.Close()
	if line, err := bufio.NewReader(read).ReadString('\n'); err != nil || line != "event\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if _, err := secret.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the file can be written to")
	}
}

func TestRunPassesStdoutOn(t *testing.T) {
	var lines []string
	out, err := Run(t.Context(), Command{Name: "sh", Args: []string{"-c", "echo a; echo b; exit 3"}, Out: func(line string) { lines = append(lines, line) }})
	if err == nil || len(out) > 0 || !slices.Equal(lines, []string{"a", "b"}) {
		t.Fatalf("got %q, %q, %v", out, lines, err)
	}
}

// A program must not outlive an archipel that was killed.
func TestRunDiesWithParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = environment("parent")
	stderr, err := parent.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stderr).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	children, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(parent.Process.Pid)).Output()
	if err != nil {
		t.Skip("no ps: ", err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		t.Fatal(err)
	}
	if startTime(child) == "" {
		t.Fatal("the child does not run")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	eventually(t, "the child has ended", func() bool { return startTime(child) == "" })
}
