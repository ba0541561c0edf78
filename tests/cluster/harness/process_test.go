// Identity and state of processes, on real ones. Needs no cluster and no root.

package harness

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func sleeper(t *testing.T) process {
	t.Helper()
	command := exec.Command("sleep", "1000")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go command.Wait()
	t.Cleanup(func() { command.Process.Kill() })
	stat, err := readStat(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return process{command.Process.Pid, stat.started}
}

func TestStatIsReadWhateverTheNameOfTheProcess(t *testing.T) {
	stat, err := parseStat("17 (a) S (b) T 1 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 20 18446744073709551615")
	if err != nil || stat.state != 'T' || stat.started != 4711 {
		t.Errorf("got %c %d, %v", stat.state, stat.started, err)
	}
	if _, err := parseStat("17 (short) S 1"); err == nil {
		t.Error("half a line was taken")
	}
}

func TestProcessWhoseFirstThreadIsAZombieIsOverOnlyWithItsLastThread(t *testing.T) {
	for threads, over := range map[string]bool{"1": true, "3": false} {
		stat, err := parseStat("17 (api) Z 1 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 " + threads + " 0 4711 0 0 0")
		if err != nil || stat.over() != over {
			t.Errorf("with %s threads: %t, %v", threads, stat.over(), err)
		}
	}
}

func TestPausedProcessIsSeenAsPausedUntilResumedAndDeadAfterKill(t *testing.T) {
	p := sleeper(t)
	if err := p.signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.awaitState(paused); err != nil {
		t.Fatal(err)
	}
	if err := resumeProcess(p); err != nil {
		t.Fatal(err)
	}
	if err := killProcess(p); err != nil {
		t.Fatal(err)
	}
	if state := p.state(); state != dead {
		t.Errorf("killed, but %s", state)
	}
}

func TestReusedProcessIdIsNeitherAliveNorSignalled(t *testing.T) {
	p := sleeper(t)
	earlier := process{p.PID, p.Started - 1}
	if state := earlier.state(); state != dead {
		t.Errorf("the earlier process is %s", state)
	}
	if err := earlier.signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("signal: %v", err)
	}
	if err := earlier.awaitEnd(time.Minute); err != nil {
		t.Errorf("awaiting the end of what has ended: %v", err)
	}
	if state := p.state(); state != running {
		t.Errorf("the process that has the id now is %s", state)
	}
}

func TestArgumentsMentionAFolderOnlyByWhatIsBelowIt(t *testing.T) {
	cases := []struct {
		argument string
		want     bool
	}{
		{"--root-dir=/state/test/kubelet", true},
		{"/run/unique-k8s-job/1/containerd.sock", true},
		{"/run/unique-k8s-job/11/containerd.sock", false},
		{"/state/test2/kubelet", false},
		{"/state/test", false},
	}
	for _, c := range cases {
		if got := mentions([]string{"program", c.argument}, "/state/test", "/run/unique-k8s-job/1"); got != c.want {
			t.Errorf("%s: %t", c.argument, got)
		}
	}
}

func TestOnlyComponentsAndTheirShimsAreTakenForAClustersProcesses(t *testing.T) {
	cases := map[string]bool{
		"/cache/k8s kubelet --root-dir=/state/test/kubelet":                               true,
		"/cache/k8s etcd --data-dir=/state/test/etcd":                                     true,
		"/usr/bin/containerd --config /state/test/containerd.toml":                        true,
		"/usr/bin/containerd-shim-runc-v2 -address /run/unique-k8s-job/1/containerd.sock": true,
		"runc --root /run/unique-k8s-job/1/runc/k8s.io kill 5":                            true,
		"/cache/k8s kubectl --kubeconfig=/state/test/kubeconfig/admin.yaml get pods":      false,
		"/cache/k8s up --dir /state/test/":                                                false,
		"tail -f /state/test/logs/kubelet.log":                                            false,
		"bash":                                                                            false,
	}
	for line, want := range cases {
		if got := isComponent(strings.Fields(line)); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}
