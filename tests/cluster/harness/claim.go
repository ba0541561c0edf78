// Which number a cluster gets, and who owns it.
//
// Promise: a number belongs to exactly one folder, decided by one atomic rename, whatever runs at the same time.

package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// claim takes a number for the folder: the wanted one, or with 0 the first free one.
func claim(dir string, wanted int) (place, error) {
	taken, err := takenSubnets()
	if err != nil {
		return place{}, err
	}
	first, last := 1, lastNumber
	if wanted != 0 {
		first, last = wanted, wanted
	}
	reason := ""
	for number := first; number <= last; number++ {
		p := place{dir: dir, number: number}
		if owner := p.owner(); owner != "" {
			reason = fmt.Sprintf("number %d belongs to the cluster in %s", number, owner)
			continue
		}
		if other := overlapping(p.linkSubnet(), taken); other != "" {
			reason = fmt.Sprintf("%s is in use on this machine (%s)", p.linkSubnet(), other)
			continue
		}
		if _, err := os.Stat(p.namespacePath()); err == nil {
			reason = fmt.Sprintf("network namespace %s exists", p.name())
			continue
		}
		owned, err := p.takeOwnership()
		if err != nil {
			return place{}, err
		}
		if owned {
			return p, nil
		}
		reason = fmt.Sprintf("number %d belongs to the cluster in %s", number, p.owner())
	}
	if wanted != 0 {
		return place{}, &trouble{
			what: fmt.Sprintf("cluster number %d is taken", wanted),
			seen: reason,
			hint: "leave out --number to get a free one, or end what holds it",
		}
	}
	return place{}, &trouble{
		what: fmt.Sprintf("no free subnet in 10.99.1.0/24 to 10.99.%d.0/24", lastNumber),
		seen: "last tried: " + reason,
		hint: "`ip -4 route` and `ip netns` show what holds them",
	}
}

// takeOwnership is false when another folder has this number.
func (p place) takeOwnership() (bool, error) {
	if err := os.MkdirAll(runRoot, 0o755); err != nil {
		return false, err
	}
	prepared, err := os.MkdirTemp(runRoot, ".claim-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(prepared)
	if err := os.WriteFile(filepath.Join(prepared, "owner"), []byte(p.dir), 0o600); err != nil {
		return false, err
	}
	err = os.Rename(prepared, p.runDir())
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	return err == nil, err
}

// owner is the folder that holds this number, or "".
func (p place) owner() string {
	text, err := os.ReadFile(filepath.Join(p.runDir(), "owner"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// claims are all numbers that have an owner, each with the owner's folder.
func claims() []place {
	entries, err := os.ReadDir(runRoot)
	if err != nil {
		return nil
	}
	var found []place
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		p := place{number: number}
		if p.dir = p.owner(); p.dir != "" {
			found = append(found, p)
		}
	}
	return found
}

// numberOf is the number a folder owns, whatever is or is not in the folder, or 0.
func numberOf(dir string) int {
	for _, p := range claims() {
		if p.dir == dir {
			return p.number
		}
	}
	return 0
}

// isAbandoned is true when the owner's folder is gone or has another number by now: what a removed folder left running.
func isAbandoned(p place) bool {
	r, err := readRecord(p.dir)
	return err == nil && (r == nil || r.Number != p.number)
}

// takenSubnets is every IPv4 network this machine has an address in or a route to, without catch-all routes: a VPN that
// routes 10.0.0.0/8 does not hinder, since our /24 is more specific.
func takenSubnets() ([]*net.IPNet, error) {
	const catchAll = 15 // bits: shorter prefixes are catch-alls
	var taken []*net.IPNet
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, wrap("cannot list the addresses of this machine", err)
	}
	for _, address := range addresses {
		taken = append(taken, address.IPNet)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, wrap("cannot list the routes of this machine", err)
	}
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		if bits, _ := route.Dst.Mask.Size(); bits > catchAll {
			taken = append(taken, route.Dst)
		}
	}
	return taken, nil
}

// overlapping names the network that shares addresses with subnet, or is "".
func overlapping(subnet string, taken []*net.IPNet) string {
	_, ours, err := net.ParseCIDR(subnet)
	if err != nil {
		return err.Error()
	}
	for _, other := range taken {
		if ours.Contains(other.IP) || other.Contains(ours.IP) {
			return other.String()
		}
	}
	return ""
}
