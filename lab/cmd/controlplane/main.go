// Command controlplane is one binary that holds the Kubernetes control plane of
// a lab site: etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
// kubectl and kwok, the simulator of its nodes. One binary because they share
// most of their code: six would cost six times the link time and the disk.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics, as upstream's mains register them
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info, as upstream's mains register it
	"k8s.io/component-base/version"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwokcmd "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	kwoksignals "sigs.k8s.io/kwok/pkg/utils/signals"
)

const usage = "usage: controlplane etcd|etcd-restore|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl|kwok [flags]"

// versionVariable is the version that the programs report, where it is not the
// one they were built with: a host that is upgraded from +k3s1 to +k3s2 runs
// the same programs.
const versionVariable = "ARCHIPEL_KUBERNETES_VERSION"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	os.Args = os.Args[1:]
	if wanted := os.Getenv(versionVariable); wanted != "" {
		if err := version.SetDynamicVersion(wanted); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", versionVariable, err)
			os.Exit(2)
		}
	}
	os.Exit(run(os.Args[0]))
}

func run(program string) int {
	commands := map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllermanager.NewControllerManagerCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	}
	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
		return 0
	case "etcd-restore":
		return restore(os.Args[1:])
	case "kubectl":
		return kubectl()
	case "kwok":
		return kwok()
	}
	if command, ok := commands[program]; ok {
		return cli.Run(command())
	}
	fmt.Fprintln(os.Stderr, usage)
	return 2
}

// kwok starts the node simulator the way its own main does.
func kwok() int {
	// component-base registers a --version of its own on the global flag set;
	// cobra copies it into kwok's root command, where it clashes.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(kwoksignals.SetupSignalContext(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err == nil {
		command := kwokcmd.NewCommand(ctx)
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		return 1
	}
	return 0
}

// kubectl runs the way its own main does.
func kubectl() int {
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // prints it and exits
	}
	return 0
}

// restore makes a database of one member from a snapshot, as etcdutl does.
func restore(args []string) int {
	var config snapshot.RestoreConfig
	var peer string
	flags := flag.NewFlagSet("etcd-restore", flag.ContinueOnError)
	flags.StringVar(&config.SnapshotPath, "snapshot", "", "file to restore")
	flags.StringVar(&config.Name, "name", "", "of the member")
	flags.StringVar(&config.OutputDataDir, "data-dir", "", "folder to write")
	flags.StringVar(&peer, "peer", "", "URL of the member")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	config.PeerURLs = []string{peer}
	config.InitialCluster = config.Name + "=" + peer
	config.InitialClusterToken = "etcd-cluster"
	// What watches the API must not see revisions go back.
	config.RevisionBump, config.MarkCompacted = 1_000_000_000, true
	if err := snapshot.NewV3(zap.NewNop()).Restore(config); err != nil {
		fmt.Fprintln(os.Stderr, "etcd-restore:", err)
		return 1
	}
	return 0
}
