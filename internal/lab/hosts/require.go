package hosts

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/tool"

	"golang.org/x/sys/unix"
)

// programs are what a lab with hosts runs on the machine, by Debian's package.
func programs() [][2]string {
	return [][2]string{
		{"podman", "podman"}, {"crun", "crun"}, {"mmdebstrap", "mmdebstrap"}, {"ip", "iproute2"}, {"nft", "nftables"},
		{"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"sysctl", "procps"}, {"ssh", "openssh-client"},
	}
}

// Check says what this machine lacks for a lab with hosts.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("a lab with hosts needs root: it makes networks and containers; run it as root, for example with sudo -E")
	}
	var missing, packages []string
	for _, p := range programs() {
		if _, err := tool.Find(p[0]); err != nil {
			missing = append(missing, p[0])
			if !slices.Contains(packages, p[1]) {
				packages = append(packages, p[1])
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("a lab with hosts needs %s; install what is missing: apt-get install --no-install-recommends %s",
			strings.Join(missing, ", "), strings.Join(packages, " "))
	}
	return nil
}

// machineLimits are what podman may give to a container. It asks for more than it
// may have unless it is told, where it lacks CAP_SYS_RESOURCE.
func machineLimits() (Limits, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Limits{}, fmt.Errorf("reading the capabilities of this process: %w", err)
	}
	if may, err := capable(string(status), unix.CAP_SYS_RESOURCE); may || err != nil {
		return Limits{}, err
	}
	var files, processes unix.Rlimit
	if err := errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &files), unix.Getrlimit(unix.RLIMIT_NPROC, &processes)); err != nil {
		return Limits{}, fmt.Errorf("reading the limits of this process: %w", err)
	}
	const enough = 20000
	return Limits{Files: min(files.Max, enough), Processes: min(processes.Max, enough)}, nil
}

// capable reads /proc/<pid>/status for an effective capability.
func capable(status string, capability int) (bool, error) {
	for line := range strings.Lines(status) {
		if mask, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			if err != nil {
				return false, fmt.Errorf("reading the capabilities of this process: %w", err)
			}
			return bits&(1<<capability) != 0, nil
		}
	}
	return false, errors.New("reading the capabilities of this process: the kernel does not tell")
}

// unified says whether the machine has the unified hierarchy of control groups, and
// no other.
func unified() (bool, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &stat); err != nil {
		return false, fmt.Errorf("looking at the control groups of this machine: %w", err)
	}
	return stat.Type == unix.CGROUP2_SUPER_MAGIC, nil
}
