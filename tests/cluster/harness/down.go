// `down`, and the undoing of a failed `up`: everything a cluster has on this machine goes.
//
// Promise: it works from any half-way state, ends only processes that are provably the cluster's, removes no folder that
// still has something mounted in it, and says what it could not remove.

package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func down(ctx context.Context, name, dir string, out *progress) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		out.say("cluster %s is not there", name)
		return nil
	}
	held, err := acquire(ctx, dir, out.say)
	if err != nil {
		return err
	}
	defer held.release()
	r, err := readRecord(dir)
	if err != nil {
		return err
	}
	if r == nil {
		if err := mustBeEmpty(dir); err != nil {
			return err
		}
		return os.RemoveAll(dir)
	}
	if err := remove(place{dir: dir, number: r.Number}, out); err != nil {
		return err
	}
	out.say("cluster %s is gone", name)
	return nil
}

// remove goes on after an error, so that as little as possible stays, and returns all of them.
func remove(p place, out *progress) error {
	owner := p.owner()
	// After a reboot the number may belong to another cluster: then only the folder and its processes are ours.
	numberIsOurs := owner == p.dir || owner == ""
	if err := endProcesses(p, numberIsOurs); err != nil {
		return err // everything else would fail, or pull the ground from under what still runs
	}
	steps := []func(place) error{removeMounts}
	if numberIsOurs {
		steps = append([]func(place) error{removeOutside}, removeMounts, removeCgroup, removeNetwork)
	}
	var problems []error
	for _, step := range append(steps, removeFolders(numberIsOurs)) {
		if err := step(p); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// endProcesses kills until nothing is left that could start something new.
func endProcesses(p place, numberIsOurs bool) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		remaining := members(p, numberIsOurs)
		if len(remaining) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return &trouble{
				what: fmt.Sprintf("%d processes of the cluster in %s do not end", len(remaining), p.dir),
				seen: fmt.Sprintf("the first is %d, after SIGKILL", remaining[0].PID),
				hint: fmt.Sprintf("`ps -o pid,stat,wchan:32,args -p %d`; state D means it waits for the kernel, then try `down` again", remaining[0].PID),
			}
		}
		for _, process := range remaining {
			process.signal(unix.SIGKILL)
		}
		for _, process := range remaining {
			process.awaitEnd(time.Second)
		}
	}
}

// members are the cluster's processes: the recorded components, what runs in its cgroup, and what runs in its namespace
// with one of its folders in an argument (components whose record was lost, the shims of its containerd, runc). A shell
// somebody opened in the namespace is none of them.
func members(p place, numberIsOurs bool) []process {
	found := map[process]bool{}
	for i := range components {
		c := components[len(components)-1-i]
		if known, state := stateOf(p, c.name); state == running || state == paused {
			found[known] = true
		}
	}
	if numberIsOurs {
		for _, process := range inCgroup(p) {
			found[process] = true
		}
		if inode, err := namespaceInode(p); err == nil {
			for _, process := range living(func(pid int, arguments []string) bool {
				var stat unix.Stat_t
				return mentions(arguments, p.dir, p.runDir()) &&
					unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &stat) == nil && stat.Ino == inode
			}) {
				found[process] = true
			}
		}
	}
	list := make([]process, 0, len(found))
	for process := range found {
		list = append(list, process)
	}
	return list
}

// removeOutside removes what containerd, CNI and the kubelet put into fixed places of the machine.
func removeOutside(p place) error {
	// The sockets of shims; each bundle has a file with the address of its own.
	addresses, _ := filepath.Glob(filepath.Join(p.containerdState(), "io.containerd.runtime.v2.task", "*", "*", "address"))
	for _, file := range addresses {
		text, err := os.ReadFile(file)
		socket, isUnix := strings.CutPrefix(strings.TrimSpace(string(text)), "unix://")
		if err == nil && isUnix && strings.HasPrefix(socket, "/run/containerd/s/") {
			os.Remove(socket)
		}
	}
	results, _ := filepath.Glob("/var/lib/cni/results/" + p.name() + "-*")
	for _, file := range results {
		os.Remove(file)
	}
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, p.dir+"/") {
			os.Remove(link)
		}
	}
	if others, _ := filepath.Glob(filepath.Join(runRoot, "[0-9]*")); len(others) <= 1 {
		removeKubeletDefaults()
	}
	for _, folder := range []string{"/run/containerd/s", "/run/containerd", "/var/lib/cni/results", "/var/lib/cni", "/var/log/containers"} {
		unix.Rmdir(folder) // only if empty
	}
	return nil
}

// removeKubeletDefaults removes the folder of device plugins, whose place is a constant in the kubelet. Only a folder in
// which nothing but that was ever made is touched.
func removeKubeletDefaults() {
	const plugins = "/var/lib/kubelet/device-plugins"
	for _, file := range []string{"kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"} {
		if entries, err := os.ReadDir("/var/lib/kubelet"); err != nil || len(entries) != 1 {
			return
		}
		os.Remove(filepath.Join(plugins, file))
	}
	unix.Rmdir(plugins)
	unix.Rmdir("/var/lib/kubelet")
}

// mountsBelow are the mount points in the cluster's folders, the innermost first.
func mountsBelow(folders ...string) ([]string, error) {
	var found []string
	for _, folder := range folders {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
		if err != nil {
			return nil, err
		}
		for _, mount := range mounts {
			found = append(found, mount.Mountpoint)
		}
	}
	slices.Reverse(found)
	return found, nil
}

func removeMounts(p place) error {
	mounts, err := mountsBelow(p.dir, p.runDir())
	if err != nil {
		return err
	}
	var problems []error
	for _, mount := range mounts {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			problems = append(problems, wrap("cannot unmount "+mount, err))
		}
	}
	return errors.Join(problems...)
}

// removeFolders never walks into a mount: what is mounted there may be anything of this machine.
func removeFolders(numberIsOurs bool) func(place) error {
	return func(p place) error {
		folders := []string{p.dir}
		if numberIsOurs {
			folders = append(folders, p.runDir())
		}
		if mounts, err := mountsBelow(folders...); err != nil || len(mounts) > 0 {
			return &trouble{
				what: fmt.Sprintf("%s is not removed", p.dir),
				seen: fmt.Sprintf("mounted in it: %s %v", strings.Join(mounts, ", "), err),
				hint: "unmount that by hand and try `down` again",
			}
		}
		var problems []error
		for _, folder := range folders {
			problems = append(problems, os.RemoveAll(folder))
		}
		unix.Rmdir(runRoot) // only if empty
		return errors.Join(problems...)
	}
}
