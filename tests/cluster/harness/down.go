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
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func down(ctx context.Context, name, dir string, out *progress) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && numberOf(dir) == 0 {
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
		err = removeWithoutRecord(dir, out)
	} else {
		name = r.Name // with --dir alone, --name is only a default
		err = remove(place{dir: dir, number: r.Number})
	}
	if err == nil {
		out.say("cluster %s is gone", name)
	}
	return err
}

// remove takes away a cluster with its folder.
func remove(p place) error {
	owner := p.owner()
	// After a reboot the number may belong to another cluster: then only the folder and its processes are ours.
	numberIsOurs := owner == p.dir || owner == ""
	if err := endProcesses(func() []process {
		found := recordedMembers(p)
		if numberIsOurs {
			found = append(found, numberMembers(p)...)
		}
		return found
	}); err != nil {
		return err // everything else would fail, or pull the ground from under what still runs
	}
	var problems []error
	if numberIsOurs {
		problems = append(problems, removeNumber(p))
	}
	problems = append(problems, removeMounts(p.dir), removeFolder(p.dir))
	return errors.Join(problems...)
}

// removeWithoutRecord ends what runs for a folder whose content somebody removed. That the folder owns a number shows
// that `up` found it empty and took all of it; a folder that owns none and has something in it is refused.
func removeWithoutRecord(dir string, out *progress) error {
	if number := numberOf(dir); number != 0 {
		out.say("the folder of cluster number %d was removed while it ran; ending it", number)
		return errors.Join(endNumber(place{dir: dir, number: number}), removeMounts(dir), removeFolder(dir))
	}
	if err := mustBeEmpty(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// removeAbandoned ends the clusters of other folders that are gone, or that have another number by now.
func removeAbandoned(out *progress) error {
	once, cancel := context.WithCancel(context.Background())
	cancel() // try each lock once: a folder some command works on is not abandoned
	for _, p := range claims() {
		if !isAbandoned(p) {
			continue
		}
		if _, err := os.Stat(filepath.Dir(p.dir)); err == nil {
			held, err := acquire(once, p.dir, func(string, ...any) {})
			if err != nil {
				continue
			}
			defer held.release()
			if p.owner() != p.dir || !isAbandoned(p) {
				continue
			}
		}
		out.say("ending cluster number %d, which %s left running", p.number, p.dir)
		folder := p.dir
		r, _ := readRecord(folder)
		if r != nil {
			p.dir = p.runDir() // what is in that folder belongs to the cluster's present number
		}
		if err := endNumber(p); err != nil {
			return err
		}
		if r == nil {
			if err := errors.Join(removeMounts(folder), removeFolder(folder)); err != nil {
				return err
			}
		}
	}
	return nil
}

// endNumber ends what runs under a number and leaves the folder alone.
func endNumber(p place) error {
	if err := endProcesses(func() []process { return numberMembers(p) }); err != nil {
		return err
	}
	return removeNumber(p)
}

// removeNumber takes away everything a cluster has outside its folder. It goes on after an error, so that as little as
// possible stays, and returns all of them.
func removeNumber(p place) error {
	return errors.Join(removeOutside(p), removeMounts(p.runDir()), removeCgroup(p), removeNetwork(p), removeFolder(p.runDir()))
}

// endProcesses kills until nothing is left that could start something new.
func endProcesses(find func() []process) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		remaining := find()
		if len(remaining) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return &trouble{
				what: fmt.Sprintf("%d processes of the cluster do not end", len(remaining)),
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

// recordedMembers are the components that the folder knows of, the last started first.
func recordedMembers(p place) []process {
	var found []process
	for i := range components {
		if known, state := stateOf(p, components[len(components)-1-i].name); state == running || state == paused {
			found = append(found, known)
		}
	}
	return found
}

// numberMembers are what runs in the cluster's cgroup, and its components and their children as far as their command
// line tells: by a folder of the cluster in an argument, or by running in its namespace. Neither a shell that somebody
// opened in the namespace nor a program that was given the kubeconfig is among them.
func numberMembers(p place) []process {
	inode, err := namespaceInode(p)
	known := err == nil
	return append(inCgroup(p), living(func(pid int, arguments []string) bool {
		if !isComponent(arguments) {
			return false
		}
		if mentions(arguments, p.dir, p.runDir()) {
			return true
		}
		var stat unix.Stat_t
		return known && unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &stat) == nil && stat.Ino == inode
	})...)
}

// isComponent recognises the command lines of components.go, the shims of containerd, and runc.
func isComponent(arguments []string) bool {
	program := filepath.Base(arguments[0])
	if program == "containerd" || program == "runc" || strings.HasPrefix(program, "containerd-shim") {
		return true
	}
	return len(arguments) > 1 && slices.ContainsFunc(components, func(c component) bool { return c.name == arguments[1] })
}

var shimSocket = regexp.MustCompile(`/run/containerd/s/[0-9a-f]+`)

// removeOutside removes what containerd, CNI and the kubelet put into fixed places of the machine.
func removeOutside(p place) error {
	// The sockets of shims, in a folder all containerds share. Each bundle names its own, in a file called `address`, or
	// `bootstrap.json` since containerd 1.7.
	for _, file := range []string{"address", "bootstrap.json"} {
		bundles, _ := filepath.Glob(filepath.Join(p.containerdState(), "io.containerd.runtime.v2.task", "*", "*", file))
		for _, bundle := range bundles {
			if text, err := os.ReadFile(bundle); err == nil {
				os.Remove(shimSocket.FindString(string(text)))
			}
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

// mountsBelow are the mount points in a folder, the innermost first.
func mountsBelow(folder string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, mount := range mounts {
		found = append(found, mount.Mountpoint)
	}
	slices.Reverse(found)
	return found, nil
}

func removeMounts(folder string) error {
	mounts, err := mountsBelow(folder)
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

// removeFolder never walks into a mount: what is mounted there may be anything of this machine.
func removeFolder(folder string) error {
	mounts, err := mountsBelow(folder)
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return &trouble{
			what: fmt.Sprintf("%s is not removed", folder),
			seen: "mounted in it: " + strings.Join(mounts, ", "),
			hint: "unmount that by hand and try `down` again",
		}
	}
	err = os.RemoveAll(folder)
	unix.Rmdir(runRoot) // the last cluster of the machine takes it along; it goes only if empty
	return err
}
