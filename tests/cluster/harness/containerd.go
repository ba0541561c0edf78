// containerd: its configuration, and the images it starts with.

package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// containerdConfig keeps all of containerd below the cluster's two folders, also what is elsewhere by default: the
// folder of runc and the network namespaces of Pods. restrict_oom_score_adj lets it run without CAP_SYS_RESOURCE; plugin
// `opt` would make /opt/containerd.
const containerdConfig = `version = 2
root = "%[1]s/containerd"
state = "%[2]s"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "%[3]s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%[4]s"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[5]s"
    conf_dir = "%[1]s/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "%[6]s"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "%[7]s/runc"
`

func writeContainerdConfig(p place, found tools, snapshotter string) error {
	text := fmt.Sprintf(containerdConfig, p.dir, p.containerdState(), p.containerdSocket(), pauseImage, found.cniDir, snapshotter, p.runDir())
	if err := os.WriteFile(p.path("containerd.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(p.path("cni"), 0o700); err != nil {
		return err
	}
	return writeJSON(p.path("cni", "10-ptp.conflist"), map[string]any{
		"cniVersion": "0.4.0",
		"name":       p.name(),
		"plugins": []any{map[string]any{
			"type":   "ptp",
			"ipMasq": false,
			"ipam": map[string]any{
				"type":    "host-local",
				"subnet":  p.podSubnet(),
				"dataDir": p.path("ipam"),
				"routes":  []any{map[string]string{"dst": "0.0.0.0/0"}},
			},
		}},
	})
}

// chooseSnapshotter is overlayfs where the folder's file system takes it; on an overlay (a container's own root) it may
// not, and `native` copies instead.
func chooseSnapshotter(p place) string {
	probe := p.path("overlay-probe")
	defer os.RemoveAll(probe)
	for _, folder := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(probe+"/"+folder, 0o700); err != nil {
			return "native"
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", probe)
	if err := unix.Mount("overlay", probe+"/merged", "overlay", 0, options); err != nil {
		return "native"
	}
	unix.Unmount(probe+"/merged", unix.MNT_DETACH)
	return "overlayfs"
}

func importImages(ctx context.Context, p place, found tools, snapshotter string, archives []string) error {
	for _, archive := range archives {
		command := exec.CommandContext(ctx, found.ctr, "--address", p.containerdSocket(), "--namespace", "k8s.io",
			"images", "import", "--snapshotter", snapshotter, archive)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot import %s: %w: %s", archive, err, strings.TrimSpace(string(output)))
		}
	}
	return nil
}
