package tool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Daemon is a program that goes on after this process has ended. There is no
// file that records it: the environment that it was started with does, so that
// the process table is the only truth and a killed archipel loses nothing.
type Daemon struct {
	Group string // who it belongs to, unique on the machine, for example a folder
	Name  string // unique in its group
	Path  string // the program
	Args  []string
	Env   []string // in the form key=value; the marks of group and name are added
	Log   string   // file that takes stdout and stderr, truncated at the start; mode 0600
}

// The variables that mark a daemon's environment.
const (
	groupVariable = "ARCHIPEL_DAEMON_GROUP"
	nameVariable  = "ARCHIPEL_DAEMON_NAME"
)

// Marks are the variables of an environment that make a process a daemon of a
// group, for one that another program starts.
func Marks(group, name string) []string {
	return []string{groupVariable + "=" + group, nameVariable + "=" + name}
}

// Process is a daemon that runs.
type Process struct {
	PID   int
	Name  string
	Args  []string // with the program itself
	start string   // when the kernel started it, to tell it from a later process of this PID
}

// Start starts d in a session of its own.
func Start(d Daemon) (Process, error) {
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return Process{}, fmt.Errorf("starting %s: %w", d.Name, err)
	}
	defer log.Close()
	if err := log.Chmod(0o600); err != nil { // of a file that was there
		return Process{}, fmt.Errorf("starting %s: %w", d.Name, err)
	}
	cmd := exec.Command(d.Path, d.Args...)
	cmd.Env = append(append([]string{}, d.Env...), Marks(d.Group, d.Name)...)
	cmd.Dir = filepath.Dir(d.Log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Process{}, fmt.Errorf("starting %s: %w", d.Name, err)
	}
	process := Process{PID: cmd.Process.Pid, Name: d.Name, Args: cmd.Args, start: startTime(cmd.Process.Pid)}
	// Reaps the child while this process lives; init does so afterwards.
	go func() { _ = cmd.Wait() }()
	return process, nil
}

// Running lists the daemons of a group, by name. It reads /proc, so it sees
// what an earlier archipel started too.
func Running(group string) ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var found []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Before the marks: were the PID given to another process in between, the marks
		// would count for that one.
		start := startTime(pid)
		environ, err := environOf(pid)
		if err != nil || start == "" { // another user's, or gone
			continue
		}
		name, ok := marked(environ, group)
		if !ok {
			continue
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
		found = append(found, Process{PID: pid, Name: name, Args: args, start: start})
	}
	sort.Slice(found, func(i, j int) bool {
		if found[i].Name != found[j].Name {
			return found[i].Name < found[j].Name
		}
		return found[i].PID < found[j].PID
	})
	return found, nil
}

// environOf reads the environment of a process. One that is becoming another program
// has none for a moment, and is asked again.
func environOf(pid int) ([]byte, error) {
	const patience = time.Second
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(environ) > 0 || lacksEnvironment(pid) || time.Since(began) > patience {
			return environ, err
		}
	}
}

// lacksEnvironment tells a process that never has one from one whose program the kernel
// is replacing: the end of the code is set after the environment is laid out
// (load_elf_binary of Linux).
func lacksEnvironment(pid int) bool {
	fields := stat(pid)
	// proc_pid_stat(5), counted from field 3; PF_KTHREAD marks a kernel thread.
	const state, flags, endOfCode, from, to, kernelThread = 0, 9 - 3, 27 - 3, 50 - 3, 51 - 3, 0x00200000
	if len(fields) <= to || fields[state] == "Z" || fields[state] == "X" {
		return true
	}
	flag, err := strconv.ParseUint(fields[flags], 10, 64)
	return err != nil || flag&kernelThread != 0 || fields[endOfCode] != "0" && fields[from] == fields[to]
}

func marked(environ []byte, group string) (name string, ok bool) {
	for _, variable := range bytes.Split(environ, []byte{0}) {
		key, value, _ := strings.Cut(string(variable), "=")
		switch key {
		case groupVariable:
			if value != group {
				return "", false
			}
			ok = true
		case nameVariable:
			name = value
		}
	}
	return name, ok && name != ""
}

// Alive says whether the process still runs (a zombie does not).
func (p Process) Alive() bool {
	start := startTime(p.PID)
	return start != "" && start == p.start
}

// signal reaches this process or none: never a later one of the same PID.
func (p Process) signal(s syscall.Signal) error {
	handle, err := os.FindProcess(p.PID) // a pidfd, which a PID given away does not change
	if err != nil {
		return err
	}
	defer handle.Release()
	if !p.Alive() {
		return nil
	}
	if err := handle.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Stop ends processes: politely for at most grace, then by force. With no grace
// they are killed at once. It returns when all are gone.
func Stop(processes []Process, grace time.Duration) error {
	var errs []error
	signal := func(s syscall.Signal) {
		for _, p := range processes {
			if err := p.signal(s); err != nil {
				errs = append(errs, fmt.Errorf("stopping %s (process %d): %w", p.Name, p.PID, err))
			}
		}
	}
	if grace > 0 {
		signal(syscall.SIGTERM)
		waitGone(processes, grace)
	}
	signal(syscall.SIGKILL)
	if left := waitGone(processes, 10*time.Second); len(errs) == 0 && left > 0 {
		errs = append(errs, fmt.Errorf("%d processes did not end", left))
	}
	return errors.Join(errs...)
}

func waitGone(processes []Process, limit time.Duration) int {
	deadline := time.Now().Add(limit)
	for {
		left := 0
		for _, p := range processes {
			if p.Alive() {
				left++
			}
		}
		if left == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// startTime returns the kernel's start time of a live process, or "".
func startTime(pid int) string {
	fields := stat(pid)
	// proc_pid_stat(5): field 3 is the state, field 20 the number of threads, field 22 the start time.
	const state, threads, start = 0, 20 - 3, 22 - 3
	if len(fields) <= start || fields[state] == "X" {
		return ""
	}
	// The first thread is a zombie as soon as it has ended, while others may still
	// hold the process's ports and files.
	if fields[state] == "Z" && (fields[threads] == "0" || fields[threads] == "1") {
		return ""
	}
	return fields[start]
}

// stat returns the fields of proc_pid_stat(5) from the third on; none of a process
// that is gone.
func stat(pid int) []string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The program's name stands in parentheses and may itself hold spaces or parentheses.
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return nil
	}
	return strings.Fields(string(line[end+1:]))
}

// Tail returns the last lines of a file, at most n, reading at most its last 64 KiB.
func Tail(file string, n int) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	const window = 64 << 10
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	offset := max(0, info.Size()-window)
	data := make([]byte, info.Size()-offset)
	read, _ := f.ReadAt(data, offset)
	lines := strings.Split(strings.TrimRight(string(data[:read]), "\n"), "\n")
	if offset > 0 && len(lines) > 1 {
		lines = lines[1:] // cut in the middle
	}
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines
}
