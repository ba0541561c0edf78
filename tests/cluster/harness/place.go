// Every name a cluster has on this machine: folders, files, addresses, namespace and cgroup. Pure, no I/O.

package harness

import (
	"fmt"
	"path/filepath"
)

const (
	apiserverPort  = 6443
	etcdPort       = 2379
	schedulerPort  = 10259
	controllerPort = 10257
	kubeletPort    = 10250
	kubeletHealth  = 10248

	nodeName = "node1"
	// numbers are 1 to lastNumber, the third byte of 10.99.N.0/24.
	lastNumber = 254
)

// runRoot holds one folder per cluster number. It is short on purpose: the path of a unix socket has at most 107 bytes.
var runRoot = "/run/unique-k8s-job"

// place is where one cluster lives: its own folder, and its number among all clusters of the machine.
type place struct {
	dir    string
	number int
}

func (p place) path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

func (p place) log(component string) string    { return p.path("logs", component+".log") }
func (p place) kubeconfig(user string) string  { return p.path("kubeconfig", user+".yaml") }
func (p place) certificate(name string) string { return p.path("pki", name+".crt") }
func (p place) key(name string) string         { return p.path("pki", name+".key") }

func (p place) runDir() string           { return filepath.Join(runRoot, fmt.Sprint(p.number)) }
func (p place) containerdSocket() string { return filepath.Join(p.runDir(), "containerd.sock") }
func (p place) containerdState() string  { return filepath.Join(p.runDir(), "containerd") }

// name is what the namespace, the host's end of the link and the cgroup are called.
func (p place) name() string          { return fmt.Sprintf("ukj-%d", p.number) }
func (p place) namespacePath() string { return "/run/netns/" + p.name() }
func (p place) cgroup() string        { return "/" + p.name() }

func (p place) clusterIP() string  { return fmt.Sprintf("10.99.%d.1", p.number) }
func (p place) hostIP() string     { return fmt.Sprintf("10.99.%d.2", p.number) }
func (p place) linkSubnet() string { return fmt.Sprintf("10.99.%d.0/24", p.number) }
func (p place) podSubnet() string  { return fmt.Sprintf("10.98.%d.0/24", p.number) }
func (p place) server() string     { return fmt.Sprintf("https://%s:%d", p.clusterIP(), apiserverPort) }
