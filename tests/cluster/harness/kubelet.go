// The kubelet's configuration: a small node with short periods.

package harness

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

const defaultLogMaxSize = "10Mi"

func writeKubeletConfig(p place, logMaxSize string) error {
	text, err := yaml.Marshal(kubeletConfiguration(p, logMaxSize))
	if err != nil {
		return err
	}
	return writeWhole(p.path("kubelet.yaml"), text)
}

func kubeletConfiguration(p place, logMaxSize string) kubeletconfig.KubeletConfiguration {
	seconds := func(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }
	return kubeletconfig.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"},

		Address:     p.clusterIP(),
		Port:        kubeletPort,
		HealthzPort: ptr.To[int32](kubeletHealth),
		// Only the API server's certificate opens the kubelet: every user of the host can reach its port.
		Authentication: kubeletconfig.KubeletAuthentication{
			X509:      kubeletconfig.KubeletX509Authentication{ClientCAFile: p.certificate("ca")},
			Webhook:   kubeletconfig.KubeletWebhookAuthentication{Enabled: ptr.To(false)},
			Anonymous: kubeletconfig.KubeletAnonymousAuthentication{Enabled: ptr.To(false)},
		},
		Authorization: kubeletconfig.KubeletAuthorization{Mode: kubeletconfig.KubeletAuthorizationModeAlwaysAllow},

		ContainerRuntimeEndpoint: "unix://" + p.containerdSocket(),
		PodLogsDir:               p.path("pod-logs"),
		VolumePluginDir:          p.path("volume-plugins"),
		CgroupDriver:             "cgroupfs",
		CgroupRoot:               p.cgroup(),
		FailCgroupV1:             ptr.To(false), // the kubelet refuses version 1 by default since Kubernetes 1.35
		FailSwapOn:               ptr.To(false),
		OOMScoreAdj:              ptr.To[int32](0), // lowering it needs CAP_SYS_RESOURCE
		EnforceNodeAllocatable:   []string{},
		MakeIPTablesUtilChains:   ptr.To(false),
		MaxPods:                  220, // of the 253 addresses of its subnet; an ended Pod keeps its own for a moment

		// Nothing resolves names; without an address here every Pod would get a MissingClusterDNS event.
		ClusterDNS:     []string{"10.0.0.10"},
		ClusterDomain:  "cluster.local",
		ResolverConfig: ptr.To(""),

		// Short periods: the node is known to be lost 12 s after its last sign of life (components.go).
		NodeStatusUpdateFrequency: seconds(2),
		NodeStatusReportFrequency: seconds(2),
		NodeLeaseDurationSeconds:  8,
		SyncFrequency:             seconds(5),

		ContainerLogMaxSize:         logMaxSize,
		ContainerLogMonitorInterval: ptr.To(seconds(3)), // the least the kubelet takes

		// The disk and memory are the host's: nothing is evicted and no image removed because of what else is on it.
		LocalStorageCapacityIsolation: ptr.To(false),
		ImageGCHighThresholdPercent:   ptr.To[int32](100),
		ImageGCLowThresholdPercent:    ptr.To[int32](99),
		EvictionHard: map[string]string{
			"memory.available": "10Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "0%", "pid.available": "0%",
		},
	}
}
