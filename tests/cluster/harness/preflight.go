// What the machine must have before anything is changed: root, and five packages of Debian.

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tools is everything found on the machine.
type tools struct {
	containerd string
	ctr        string
	busybox    string
	cniDir     string
}

func preflight() (tools, error) {
	if err := needRoot(); err != nil {
		return tools{}, err
	}
	var found tools
	var missing, packages []string
	need := func(what, pkg string, locate func() string) string {
		path := locate()
		if path == "" {
			missing = append(missing, what)
			packages = append(packages, pkg)
		}
		return path
	}
	found.containerd = need("containerd", "containerd", func() string { return program("containerd") })
	if found.containerd != "" {
		found.ctr = need("ctr", "containerd", func() string { return program("ctr") })
	}
	need("runc", "runc", func() string { return program("runc") })
	found.busybox = need("a static busybox", "busybox-static", func() string { return staticBusybox() })
	found.cniDir = need("the CNI plugins ptp and host-local", "containernetworking-plugins", cniDir)
	if len(missing) > 0 {
		return tools{}, &trouble{
			what: "this machine lacks " + strings.Join(missing, ", "),
			hint: fmt.Sprintf("`apt-get install %s`", strings.Join(packages, " ")),
		}
	}
	return found, nil
}

func needRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return &trouble{
		what: "a cluster needs root: it makes a network namespace, mounts and cgroups",
		seen: fmt.Sprintf("user id %d", os.Geteuid()),
		hint: "run the same command with sudo, or in a privileged container",
	}
}

// searchPath also has the sbin folders, which a user's PATH may lack and where Debian keeps runc.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range strings.Split(searchPath, ":") {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path
		}
	}
	return ""
}

func cniDir() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if isFile(dir+"/ptp") && isFile(dir+"/host-local") {
			return dir
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
