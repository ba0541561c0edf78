// Tokens and kubeconfig files, read by the library that clients use. Needs no cluster and no root.

package harness

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestKubeconfigOfEveryPersonReachesTheClusterWithoutOtherFiles(t *testing.T) {
	p := testPlace(t)
	ca, admin, err := writeCertificates(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeUsers(p, "test", ca, admin); err != nil {
		t.Fatal(err)
	}
	for _, name := range people {
		info, err := os.Stat(p.kubeconfig(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o", name, info.Mode().Perm())
		}
		config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig(name))
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != "https://10.99.7.1:6443" || string(config.CAData) != string(ca) || config.CAFile != "" {
			t.Errorf("%s: host %s, CA file %q", name, config.Host, config.CAFile)
		}
		if byToken, byCertificate := config.BearerToken != "", len(config.CertData) > 0; byToken == byCertificate {
			t.Errorf("%s: token %t, certificate %t", name, byToken, byCertificate)
		}
	}
}

func TestTokensOfTheTokenFileAreThoseOfTheKubeconfigsAndAllDiffer(t *testing.T) {
	p := testPlace(t)
	if err := writeUsers(p, "test", nil, pair{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.path("tokens.csv"))
	if err != nil {
		t.Fatal(err)
	}
	reader := csv.NewReader(strings.NewReader(string(text)))
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, row := range rows {
		config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig(users[i].file))
		if err != nil {
			t.Fatal(err)
		}
		if row[0] != config.BearerToken || row[1] != users[i].name || seen[row[0]] {
			t.Errorf("row %d, user %s: not the token of the kubeconfig, or not unique", i, row[1])
		}
		seen[row[0]] = true
	}
	if len(rows) != len(users) {
		t.Errorf("%d rows for %d users", len(rows), len(users))
	}
}

func TestUnknownUserIsRefusedWithTheNamesThereAre(t *testing.T) {
	err := checkPerson("bob")
	if err == nil || !strings.Contains(err.Error(), "airflow") {
		t.Errorf("got %v", err)
	}
}
