// What a cluster runs: every component, its flags, and how one knows that it is healthy.
//
// Promise: a component started again has the flags it had, unless `start --arg` adds some for that one start.

package harness

import "fmt"

// component is one process of a cluster.
type component struct {
	name string
	// arguments is the command line without what `start --arg` adds.
	arguments func(l launch) []string
	// healthy is nil when the component answers as it should.
	healthy check
	// ports are those it listens on, in the cluster's namespace.
	ports []int
}

// launch is what command lines are made of.
type launch struct {
	place
	binary     string
	containerd string
}

// components in the order they start; they end in the opposite order.
var components = []component{
	{name: "containerd", arguments: containerdArguments, healthy: containerdServes},
	{name: "etcd", arguments: etcdArguments, healthy: answers("http://127.0.0.1:%d/health", etcdPort), ports: []int{etcdPort}},
	{name: "kube-apiserver", arguments: apiserverArguments, healthy: apiserverReady, ports: []int{apiserverPort}},
	{name: "kube-controller-manager", arguments: controllerArguments, healthy: answers("https://127.0.0.1:%d/healthz", controllerPort), ports: []int{controllerPort}},
	{name: "kube-scheduler", arguments: schedulerArguments, healthy: answers("https://127.0.0.1:%d/healthz", schedulerPort), ports: []int{schedulerPort}},
	{name: "kubelet", arguments: kubeletArguments, healthy: answers("http://127.0.0.1:%d/healthz", kubeletHealth), ports: []int{kubeletPort, kubeletHealth}},
}

// linkName is the cable between host and cluster, which can be paused like a component but is no process.
const linkName = "link"

func componentNamed(name string) (component, error) {
	for _, c := range components {
		if c.name == name {
			return c, nil
		}
	}
	return component{}, &trouble{
		what: fmt.Sprintf("there is no component %q", name),
		hint: "COMPONENT is one of " + componentNames(),
	}
}

func componentNames() string {
	names := ""
	for _, c := range components {
		names += c.name + ", "
	}
	return names + linkName
}

func containerdArguments(l launch) []string {
	return []string{l.containerd, "--config", l.path("containerd.toml")}
}

func etcdArguments(l launch) []string {
	return []string{l.binary, "etcd", "--data-dir=" + l.path("etcd")}
}

// apiserverArguments: no service endpoint is published, since nothing in the cluster routes service addresses, and the
// kubelet is reached by address, since nothing resolves its name. The tolerations are those that admission gives to every
// Pod, 300 s upstream; they count for a taint set by hand, since with its only node lost Kubernetes evicts nothing.
func apiserverArguments(l launch) []string {
	return []string{l.binary, "kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		"--bind-address=0.0.0.0",
		"--advertise-address=" + l.clusterIP(),
		fmt.Sprintf("--secure-port=%d", apiserverPort),
		"--tls-cert-file=" + l.certificate("server"),
		"--tls-private-key-file=" + l.key("server"),
		"--client-ca-file=" + l.certificate("ca"),
		"--kubelet-client-certificate=" + l.certificate("kubelet-client"),
		"--kubelet-client-key=" + l.key("kubelet-client"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + l.certificate("ca"),
		"--requestheader-allowed-names=proxy",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.certificate("proxy"),
		"--proxy-client-key-file=" + l.key("proxy"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + l.key("service-accounts"),
		"--service-account-signing-key-file=" + l.key("service-accounts"),
		"--token-auth-file=" + l.path("tokens.csv"),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--endpoint-reconciler-type=none",
		"--default-not-ready-toleration-seconds=10",
		"--default-unreachable-toleration-seconds=10",
	}
}

// controllerArguments: the node sends a sign of life every 2 s (kubelet.go), so 12 s without one are a dead node and not
// a slow machine; 50 s upstream.
func controllerArguments(l launch) []string {
	return append(asClient(l, "kube-controller-manager", controllerPort),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+l.key("service-accounts"),
		"--root-ca-file="+l.certificate("ca"),
		"--node-monitor-period=1s",
		"--node-monitor-grace-period=12s",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	)
}

func schedulerArguments(l launch) []string {
	return asClient(l, "kube-scheduler", schedulerPort)
}

func asClient(l launch, component string, port int) []string {
	kubeconfig := l.kubeconfig(component)
	return []string{l.binary, component,
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir=" + l.path("certificates", component),
		"--leader-elect=false",
	}
}

func kubeletArguments(l launch) []string {
	return []string{l.binary, "kubelet",
		"--kubeconfig=" + l.kubeconfig("kubelet"),
		"--config=" + l.path("kubelet.yaml"),
		"--hostname-override=" + nodeName,
		"--node-ip=" + l.clusterIP(),
		"--root-dir=" + l.path("kubelet"),
		"--cert-dir=" + l.path("certificates", "kubelet"),
	}
}
