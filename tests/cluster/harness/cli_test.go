// What the command line takes for its own, and what it refuses. Needs no cluster and no root.

package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKubectlIsOursOnlyWithADashDashAfterNothingButOurFlags(t *testing.T) {
	cases := map[string]bool{
		"-- get pods":                            true,
		"--name dev -- get pods":                 true,
		"--name=dev --user alice -- get pods":    true,
		"get pods":                               false,
		"exec pod -- true":                       false,
		"--kubeconfig x exec pod -- true":        false,
		"--user alice get pods":                  false,
		"--namespace=kube-system exec pod -- ls": false,
		"":                                       false,
	}
	for line, want := range cases {
		if got := OwnsKubectl(strings.Fields(line)); got != want {
			t.Errorf("kubectl %s: %t", line, got)
		}
	}
}

func TestFolderFollowsTheStateHomeAndTheName(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	one := target{name: "one"}
	if err := one.resolve(); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home, "unique-k8s-job", "clusters", "one"); one.dir != want {
		t.Errorf("folder %s, not %s", one.dir, want)
	}
}

func TestNamesAndFoldersThatWouldBreakLaterAreRefusedAtOnce(t *testing.T) {
	for _, bad := range []target{
		{name: "Test"}, {name: ""}, {name: "-a"}, {name: strings.Repeat("a", 41)}, {name: "a/b"},
		{name: "a", dir: "/tmp/with blank"}, {name: "a", dir: "/tmp/with:colon"}, {name: "a", dir: "/"},
	} {
		if err := bad.resolve(); err == nil {
			t.Errorf("taken: %+v", bad)
		}
	}
}

func TestFolderWithOtherThingsInItIsNotTakenForACluster(t *testing.T) {
	dir := t.TempDir()
	if err := mustBeEmpty(dir); err != nil {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mustBeEmpty(dir); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("got %v", err)
	}
}
