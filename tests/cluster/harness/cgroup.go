// The cgroup below which the kubelet puts all Pods of one cluster, in either version of cgroups.
//
// Promise: everything a Pod of ours runs is below /ukj-N, so that two kubelets never see each other's Pods, and removing
// it ends what runs there. On version 2 the controllers are enabled for the children of the root, which in a container
// first means to move the container's own processes out of its root cgroup (a cgroup with processes may not have
// controllers for children: "no internal process constraint" in the kernel's cgroup-v2.rst).

package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

func isCgroup2() bool {
	var file unix.Statfs_t
	return unix.Statfs(cgroupMount, &file) == nil && file.Type == unix.CGROUP2_SUPER_MAGIC
}

// hierarchies are the folders in which the cgroup of a cluster exists: one in version 2, one per controller in version 1.
func hierarchies() ([]string, error) {
	if isCgroup2() {
		return []string{cgroupMount}, nil
	}
	// Beside the controllers of version 1 a machine may mount version 2 without any, and runc uses both.
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, mount := range mounts {
		if filepath.Dir(mount.Mountpoint) == cgroupMount && !slices.Contains(found, mount.Mountpoint) {
			found = append(found, mount.Mountpoint)
		}
	}
	if len(found) == 0 {
		return nil, &trouble{
			what: "no cgroups are mounted in " + cgroupMount,
			hint: "in a container, run it privileged and with its own cgroup namespace (`--privileged --cgroupns=private`)",
		}
	}
	return found, nil
}

func createCgroup(p place) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	if isCgroup2() {
		if err := enableControllers(cgroupMount); err != nil {
			return err
		}
	}
	for _, root := range roots {
		folder := filepath.Join(root, p.cgroup())
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return wrap("cannot make a cgroup", err)
		}
		// In version 1 a new cpuset has no processors and no memory, and takes no process.
		for _, set := range []string{"cpuset.cpus", "cpuset.mems"} {
			inherited, err := os.ReadFile(filepath.Join(root, set))
			if err != nil || isCgroup2() {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, set), inherited, 0o644); err != nil {
				return err
			}
		}
	}
	if isCgroup2() {
		return enableControllers(filepath.Join(cgroupMount, p.cgroup()))
	}
	return nil
}

// enableControllers gives the children of a cgroup of version 2 all controllers that it has itself.
func enableControllers(folder string) error {
	available, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enable := func() error {
		for _, controller := range strings.Fields(string(available)) {
			if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
				return wrap("controller "+controller+" of "+folder, err)
			}
		}
		return nil
	}
	err = enable()
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	if err := vacate(folder); err != nil {
		return err
	}
	return enable()
}

// vacate moves the processes of a container's root cgroup into a child of it, named `init` as other tools name it.
func vacate(folder string) error {
	child := filepath.Join(folder, "init")
	if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for range 10 { // processes fork meanwhile
		members := cgroupMembers(folder)
		if len(members) == 0 {
			return nil
		}
		for _, pid := range members {
			os.WriteFile(filepath.Join(child, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
		}
	}
	return nil // the caller's next write says whether it was enough
}

func cgroupMembers(folder string) []int {
	text, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cgroupFolders are all cgroups of the cluster, children before their parents.
func cgroupFolders(p place) []string {
	roots, err := hierarchies()
	if err != nil {
		return nil
	}
	var found []string
	for _, root := range roots {
		filepath.WalkDir(filepath.Join(root, p.cgroup()), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	slices.Reverse(found)
	return found
}

// inCgroup lists the processes of all Pods.
func inCgroup(p place) []process {
	var found []process
	for _, folder := range cgroupFolders(p) {
		for _, pid := range cgroupMembers(folder) {
			if stat, err := readStat(pid); err == nil && !stat.over() {
				found = append(found, process{pid, stat.started})
			}
		}
	}
	return found
}

// removeCgroup removes what is empty; the kernel needs a moment after the last process of a cgroup has ended.
func removeCgroup(p place) error {
	var last error
	for range 100 {
		folders := cgroupFolders(p)
		if len(folders) == 0 {
			return nil
		}
		for _, folder := range folders {
			if err := unix.Rmdir(folder); err != nil && !errors.Is(err, unix.ENOENT) {
				last = fmt.Errorf("cannot remove cgroup %s: %w", folder, err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return last
}
