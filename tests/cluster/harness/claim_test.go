// Numbers and subnets, with claims in a folder of the test. Needs no cluster and no root.

package harness

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func networks(t *testing.T, texts ...string) []*net.IPNet {
	t.Helper()
	var list []*net.IPNet
	for _, text := range texts {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &net.IPNet{IP: ip, Mask: network.Mask})
	}
	return list
}

func TestSubnetIsTakenWhenAnythingSharesAnAddressWithIt(t *testing.T) {
	cases := []struct {
		name  string
		other string
		taken bool
	}{
		{"the same network", "10.99.3.0/24", true},
		{"an address in it", "10.99.3.77/32", true},
		{"an address whose network is it", "10.99.3.2/24", true},
		{"a network around it", "10.99.0.0/16", true},
		{"its neighbour below", "10.99.2.0/24", false},
		{"its neighbour above", "10.99.4.0/24", false},
		{"something else", "192.168.0.0/16", false},
	}
	for _, c := range cases {
		if got := overlapping("10.99.3.0/24", networks(t, c.other)); (got != "") != c.taken {
			t.Errorf("%s (%s): got %q", c.name, c.other, got)
		}
	}
}

func inRunRoot(t *testing.T) {
	old := runRoot
	runRoot = filepath.Join(t.TempDir(), "run")
	t.Cleanup(func() { runRoot = old })
}

func TestNumberGoesToExactlyOneOfManyWhoWantIt(t *testing.T) {
	inRunRoot(t)
	var wait sync.WaitGroup
	won := make(chan string, 50)
	for i := range 50 {
		p := place{dir: filepath.Join("/clusters", string(rune('A'+i))), number: 9}
		wait.Go(func() {
			owned, err := p.takeOwnership()
			if err != nil {
				t.Error(err)
			}
			if owned {
				won <- p.dir
			}
		})
	}
	wait.Wait()
	close(won)
	winner := <-won
	if extra, more := <-won; more {
		t.Fatalf("both %s and %s got the number", winner, extra)
	}
	if owner := (place{number: 9}).owner(); owner != winner {
		t.Errorf("%s won, the owner is %s", winner, owner)
	}
	if left, _ := filepath.Glob(filepath.Join(runRoot, ".claim-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestClaimSkipsOwnedNumbersAndRefusesAWantedOneByNameOfItsOwner(t *testing.T) {
	inRunRoot(t)
	first, err := claim("/clusters/first", 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := claim("/clusters/second", 0)
	if err != nil {
		t.Fatal(err)
	}
	if second.number <= first.number {
		t.Errorf("numbers %d and %d", first.number, second.number)
	}
	_, err = claim("/clusters/third", first.number)
	if err == nil || !strings.Contains(err.Error(), "/clusters/first") {
		t.Errorf("got %v", err)
	}
}

func TestNumberIsAbandonedOnlyWhenItsFolderIsGoneOrMovedOn(t *testing.T) {
	inRunRoot(t)
	folder := t.TempDir()
	for number, dir := range map[int]string{1: filepath.Join(folder, "alive"), 2: filepath.Join(folder, "gone"), 3: filepath.Join(folder, "moved")} {
		if _, err := (place{dir: dir, number: number}).takeOwnership(); err != nil {
			t.Fatal(err)
		}
	}
	for name, number := range map[string]int{"alive": 1, "moved": 30} {
		dir := filepath.Join(folder, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := (&record{Name: name, Number: number}).write(dir); err != nil {
			t.Fatal(err)
		}
	}
	var found []string
	for _, p := range claims() {
		if isAbandoned(p) {
			found = append(found, filepath.Base(p.dir))
		}
	}
	if strings.Join(found, " ") != "gone moved" {
		t.Errorf("abandoned: %v", found)
	}
}

func TestSocketPathsFitTheKernelsLimitForEveryNumber(t *testing.T) {
	const limit = 107
	p := place{dir: "/" + strings.Repeat("long/", 40), number: lastNumber}
	if socket := p.containerdSocket() + ".ttrpc"; len(socket) > limit {
		t.Errorf("%d bytes: %s", len(socket), socket)
	}
	if len(p.name()) > 15 {
		t.Errorf("%s is too long for an interface", p.name())
	}
}
