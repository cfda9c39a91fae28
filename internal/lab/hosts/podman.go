package hosts

import (
	"fmt"
	"strconv"

	"archipel/internal/tool"
)

// Container is what a host runs from.
type Container struct {
	Image    string // root filesystem, which no host changes
	Own      string // folder with the host's own files
	Programs string // folder of the lab's programs
	Cgroups  string // folder of control groups, below the root
	Group    string // of daemons, which the first process of the host joins
	Site     string
	Limits   Limits // the machine's
}

// Limits are the most files and processes that a container may ask for; zero
// leaves them to podman.
type Limits struct{ Files, Processes uint64 }

// storageConfig and containersConfig are podman's settings in the lab: nothing of
// the user's, and everything below one folder.
func storageConfig(dir string) string {
	return fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", dir+"/root", dir+"/run")
}

func containersConfig(marks []string) string {
	list := ""
	for _, mark := range marks {
		list += ", " + strconv.Quote(mark)
	}
	return `[containers]
no_hosts = true
log_driver = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
tmp_dir = "` + own + `/podman"
conmon_env_vars = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"` + list + `]
`
}

// run is the command line that makes a host's container and starts it.
func (c Container) run(h Host) []string {
	args := []string{
		"podman", "run", "--detach", "--name", h.Name, "--hostname", h.Name,
		// The image's first program gives up what would reach the machine.
		"--privileged", "--systemd=always", "--pids-limit=-1", "--cgroup-parent", c.Cgroups,
		"--network", "ns:/run/netns/" + h.Name, "--dns=none",
		"--volume", c.Own + ":/etc/archipel-lab:ro",
		"--volume", c.Programs + ":/opt/archipel-lab:ro",
	}
	if c.Limits.Files > 0 {
		args = append(args, "--ulimit", fmt.Sprintf("nofile=%[1]d:%[1]d", c.Limits.Files))
	}
	if c.Limits.Processes > 0 {
		args = append(args, "--ulimit", fmt.Sprintf("nproc=%[1]d:%[1]d", c.Limits.Processes))
	}
	for _, mark := range tool.Marks(c.Group, HostProcess(c.Site, h.Name)) {
		args = append(args, "--env", mark)
	}
	return append(args, "--rootfs", c.Image+":O", "/usr/lib/archipel-lab/init")
}
