// The network of a cluster: a namespace, joined to the host by one veth pair.
//
// Promise: the host reaches the cluster at 10.99.N.1 and nothing of the cluster reaches further than the host's 10.99.N.2.
// Ports are those of any cluster (6443, 10250, …): the namespace is its own.

package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const insideInterface = "eth0"

// inNamespace runs work on a thread of the cluster's namespace. Sockets and processes made by it belong there.
func inNamespace(p place, work func() error) error {
	handle, err := netns.GetFromPath(p.namespacePath())
	if err != nil {
		return wrap("network namespace "+p.name()+" cannot be entered", err)
	}
	defer handle.Close()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine and takes its namespace along
		if err := netns.Set(handle); err != nil {
			result <- wrap("network namespace "+p.name()+" cannot be entered", err)
			return
		}
		result <- work()
	}()
	return <-result
}

func createNetwork(p place) error {
	if err := createNamespace(p); err != nil {
		return err
	}
	inside, err := netns.GetFromPath(p.namespacePath())
	if err != nil {
		return err
	}
	defer inside.Close()
	// The peer is born inside, so that the host never sees an interface named eth0.
	attributes := netlink.NewLinkAttrs()
	attributes.Name = p.name()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: insideInterface, PeerNamespace: netlink.NsFd(inside)}); err != nil {
		return wrap("cannot make veth pair "+p.name(), err)
	}
	host, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer host.Close()
	if err := address(host, p.name(), p.hostIP()); err != nil {
		return err
	}
	cluster, err := netlink.NewHandleAt(inside)
	if err != nil {
		return err
	}
	defer cluster.Close()
	loopback, err := cluster.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := cluster.LinkSetUp(loopback); err != nil {
		return err
	}
	return address(cluster, insideInterface, p.clusterIP())
}

func address(handle *netlink.Handle, link, ip string) error {
	device, err := handle.LinkByName(link)
	if err != nil {
		return wrap(link, err)
	}
	at := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(24, 32)}}
	if err := handle.AddrAdd(device, at); err != nil {
		return wrap(fmt.Sprintf("cannot give %s to %s", ip, link), err)
	}
	return handle.LinkSetUp(device)
}

// createNamespace makes a namespace that `ip netns` knows. It fails if the name exists.
func createNamespace(p place) error {
	if err := os.MkdirAll(filepath.Dir(p.namespacePath()), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(p.namespacePath(), os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return wrap("cannot make network namespace "+p.name(), err)
	}
	file.Close()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, as in inNamespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- wrap("cannot make a network namespace (needs CAP_SYS_ADMIN)", err)
			return
		}
		self := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		if err := unix.Mount(self, p.namespacePath(), "none", unix.MS_BIND, ""); err != nil {
			result <- wrap("cannot keep network namespace "+p.name(), err)
			return
		}
		result <- nil
	}()
	if err := <-result; err != nil {
		os.Remove(p.namespacePath())
		return err
	}
	return nil
}

// networkWhole tells whether namespace and link are there, up or down.
func networkWhole(p place) bool {
	if _, err := namespaceInode(p); err != nil {
		return false
	}
	_, err := netlink.LinkByName(p.name())
	return err == nil
}

// namespaceInode identifies the namespace; it fails when the file is there but no namespace is mounted on it.
func namespaceInode(p place) (uint64, error) {
	var file unix.Statfs_t
	if err := unix.Statfs(p.namespacePath(), &file); err != nil {
		return 0, err
	}
	if file.Type != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("%s is no namespace", p.namespacePath())
	}
	var stat unix.Stat_t
	if err := unix.Stat(p.namespacePath(), &stat); err != nil {
		return 0, err
	}
	return stat.Ino, nil
}

// removeNetwork also succeeds when parts of it, or all, are gone already.
func removeNetwork(p place) error {
	if link, err := netlink.LinkByName(p.name()); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			return wrap("cannot remove link "+p.name(), err)
		}
	}
	if err := unix.Unmount(p.namespacePath(), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return wrap("cannot remove network namespace "+p.name(), err)
	}
	if err := os.Remove(p.namespacePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// nowhere is a hardware address nobody has. Frames sent to it are dropped by the other end without a word.
var nowhere = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}

// cutLink makes everything between host and cluster vanish, both ways, as behind a dead switch: no refusal, no
// "unreachable", open connections stay open and silent. Setting the interface down would instead fail every call at once,
// and send what is meant for the cluster to the default route. Processes inside go on talking to each other.
func cutLink(p place) error {
	return bothEnds(p, func(handle *netlink.Handle, link int, other net.IP) error {
		return handle.NeighSet(&netlink.Neigh{LinkIndex: link, IP: other, HardwareAddr: nowhere, State: netlink.NUD_PERMANENT})
	})
}

// restoreLink also sets an interface up that somebody set down.
func restoreLink(p place) error {
	return bothEnds(p, func(handle *netlink.Handle, link int, other net.IP) error {
		err := handle.NeighDel(&netlink.Neigh{LinkIndex: link, IP: other})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
		device, err := handle.LinkByIndex(link)
		if err != nil {
			return err
		}
		return handle.LinkSetUp(device)
	})
}

// bothEnds does something at the host's end of the link, then at the cluster's.
func bothEnds(p place, do func(handle *netlink.Handle, link int, other net.IP) error) error {
	inside, err := netns.GetFromPath(p.namespacePath())
	if err != nil {
		return wrap("network namespace "+p.name()+" cannot be entered", err)
	}
	defer inside.Close()
	here, err := netns.Get()
	if err != nil {
		return err
	}
	defer here.Close()
	for _, end := range []struct {
		namespace       netns.NsHandle
		link, other, at string
	}{
		{here, p.name(), p.clusterIP(), "the host's"},
		{inside, insideInterface, p.hostIP(), "the cluster's"},
	} {
		handle, err := netlink.NewHandleAt(end.namespace)
		if err != nil {
			return err
		}
		defer handle.Close()
		device, err := handle.LinkByName(end.link)
		if err == nil {
			err = do(handle, device.Attrs().Index, net.ParseIP(end.other))
		}
		if err != nil {
			return wrap(end.at+" end of the link", err)
		}
	}
	return nil
}

// linkIsUp asks the host's end, which is cut and restored together with the other.
func linkIsUp(p place) bool {
	link, err := netlink.LinkByName(p.name())
	if err != nil || link.Attrs().Flags&net.FlagUp == 0 {
		return false
	}
	neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
	return err == nil && !slices.ContainsFunc(neighbours, func(n netlink.Neigh) bool { return n.HardwareAddr.String() == nowhere.String() })
}

// dialInside connects from within the namespace, so that checks work whatever the state of the link.
func dialInside(p place) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var connection net.Conn
		err := inNamespace(p, func() (err error) {
			connection, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return connection, err
	}
}

// portTaken tells whether something in the namespace listens on a port already.
func portTaken(p place, port int) (bool, error) {
	taken := false
	err := inNamespace(p, func() error {
		listener, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			taken = errors.Is(err, unix.EADDRINUSE)
			if taken {
				return nil
			}
			return err
		}
		return listener.Close()
	})
	return taken, err
}
