// Command k3s stands in for the k3s binary on the hosts of the lab: it takes k3s's command line and config.yaml, and runs the real upstream programs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"archipel/lab/internal/k3s/agent"
	"archipel/lab/internal/k3s/option"
	"archipel/lab/internal/k3s/server"
)

// version is set by the linker: there is a binary for each version.
var version = "v0.0.0+k3s0"

// programsDir is where a lab host has the upstream programs.
const programsDir = "/opt/archipel-lab"

const usage = `usage: k3s server [OPTIONS]          run a server
       k3s agent [OPTIONS]           run an agent
       k3s kubectl ARGS              run kubectl
       k3s etcd-snapshot save|ls|delete|prune [OPTIONS]
       k3s --version

This is not k3s. It stands in for it on the hosts of archipel's lab. It reads
the options of k3s and config.yaml, and says so when it does not do one.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitClean  = 0
	exitFailed = 1
	exitUsage  = 2
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	programs := server.Programs{Dir: programsDir}
	if filepath.Base(args[0]) == "kubectl" { // a link to this binary
		args = append([]string{"k3s"}, append([]string{"kubectl"}, args[1:]...)...)
	}
	if len(args) < 2 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	var err error
	switch verb, rest := args[1], args[2:]; verb {
	case "server", "agent", "etcd-snapshot":
		err = runCommand(ctx, verb, rest, programs, stdout, stderr)
	case "kubectl":
		err = kubectl(programs, rest)
	case "--version", "-v":
		fmt.Fprintf(stdout, "k3s version %s (archipel lab)\ngo version %s\n", version, runtime.Version())
	case "--help", "-h", "help":
		fmt.Fprint(stdout, usage)
	default:
		err = fmt.Errorf("%w: the lab's k3s has no %s", option.ErrUsage, verb)
	}
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, option.ErrUsage):
		fmt.Fprintln(stderr, "k3s:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "k3s: fatal:", err)
	return exitFailed
}

func runCommand(ctx context.Context, verb string, args []string, programs server.Programs, stdout, stderr io.Writer) error {
	command := map[string]option.Command{"server": option.Server, "agent": option.Agent, "etcd-snapshot": option.Snapshot}[verb]
	values, err := option.Read(command, args, os.Getenv)
	if err != nil {
		return err
	}
	switch command {
	case option.Server:
		return server.Run(ctx, server.Config{Values: values, Version: version, Programs: programs, Log: stderr, Notify: os.Getenv("NOTIFY_SOCKET")})
	case option.Agent:
		return agent.Run(ctx, agent.Config{Values: values, Version: version, Programs: programs, Log: stderr, Notify: os.Getenv("NOTIFY_SOCKET")})
	}
	return server.Snapshots(ctx, values, stdout, stderr)
}

// kubectl replaces this process by the real kubectl.
func kubectl(programs server.Programs, args []string) error {
	environment := append(os.Environ(), "ARCHIPEL_KUBERNETES_VERSION="+version)
	if os.Getenv("KUBECONFIG") == "" && !hasKubeconfig(args) {
		environment = append(environment, "KUBECONFIG=/etc/rancher/k3s/k3s.yaml")
	}
	err := syscall.Exec(programs.ControlPlane(), append([]string{"controlplane", "kubectl"}, args...), environment) //nolint:gosec // the arguments are those of who runs it
	return fmt.Errorf("running kubectl: %w", err)
}

func hasKubeconfig(args []string) bool {
	for _, arg := range args {
		if arg == "--kubeconfig" || strings.HasPrefix(arg, "--kubeconfig=") {
			return true
		}
	}
	return false
}
