package tool

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programVariable makes the test binary one of the programs below.
const programVariable = "TOOL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(programs()[name](os.Args[1:]))
	}
	os.Exit(m.Run())
}

// environment makes the test binary one of the programs.
func environment(program string) []string {
	// The race detector would have every program sleep for a second at its end.
	return []string{programVariable + "=" + program, "GORACE=atexit_sleep_ms=0"}
}

// programs are what Run and Start start in the tests.
func programs() map[string]func(args []string) int {
	return map[string]func([]string) int{
		"echo": func(args []string) int {
			fmt.Fprint(os.Stdout, "out "+strings.Join(args, " "))
			fmt.Fprint(os.Stderr, "err "+strings.Join(args, " "))
			return 0
		},
		// lines COUNT: writes that many lines to stderr and fails.
		"lines": func(args []string) int {
			count, _ := strconv.Atoi(args[0])
			for i := range count {
				fmt.Fprintf(os.Stderr, "line %d\n", i+1)
			}
			fmt.Fprint(os.Stdout, "not an error")
			return 3
		},
		// long BYTES: one line of that length, then a last one.
		"long": func(args []string) int {
			size, _ := strconv.Atoi(args[0])
			fmt.Fprintln(os.Stderr, strings.Repeat("x", size))
			fmt.Fprintln(os.Stderr, "the end")
			return 3
		},
		"wait": func([]string) int {
			fmt.Fprintln(os.Stderr, "ready")
			pause()
			return 0
		},
		"tidy": func([]string) int {
			interrupts := make(chan os.Signal, 1)
			signal.Notify(interrupts, os.Interrupt)
			fmt.Fprintln(os.Stderr, "ready")
			<-interrupts
			fmt.Fprintln(os.Stderr, "tidied up")
			return 0
		},
		"stubborn": func([]string) int {
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			fmt.Fprintln(os.Stderr, "ready")
			pause()
			return 0
		},
		// family PROGRAM: starts that program as a child and tells its PID.
		"family": func(args []string) int {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), programVariable+"="+args[0])
			child.Stderr = os.Stderr
			if err := child.Start(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
			pause()
			return 0
		},
		// threads ADDRESS: listens there with many threads.
		"threads": func(args []string) int {
			listener, err := net.Listen("tcp4", args[0])
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer listener.Close()
			for range 50 {
				go func() {
					runtime.LockOSThread()
					_ = syscall.Pause()
				}()
			}
			fmt.Fprintln(os.Stderr, "ready")
			pause()
			return 0
		},
		// parent: runs the program wait through Run, to end with it.
		"parent": func([]string) int {
			_, err := Run(context.Background(), Command{
				Name: os.Args[0], Env: environment("wait"), DieWithParent: true,
				Line: func(string) { fmt.Fprintln(os.Stderr, "ready") },
			})
			fmt.Fprintln(os.Stderr, err)
			return 0
		},
		"exit": func([]string) int { return 0 },
	}
}

// pause outlasts any test, and ends by itself where a test could not end it.
func pause() { time.Sleep(time.Minute) }
