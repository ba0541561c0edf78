// Who may speak to the API server, and the kubeconfig file of each.
//
// Promise: every cluster has its own random tokens; they are written to files of mode 0600 and never printed.

package harness

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// user is a row of the API server's token file.
type user struct {
	file  string // name of the kubeconfig file
	name  string // name in Kubernetes
	group string
}

// users are people first, then the components. `airflow` and `alice` have no rights until a test binds a Role to them.
var users = []user{
	{"admin", "admin", "system:masters"},
	{"airflow", "airflow", ""},
	{"alice", "alice", ""},
	{"kube-controller-manager", "system:kube-controller-manager", ""},
	{"kube-scheduler", "system:kube-scheduler", ""},
	{"kubelet", "system:node:" + nodeName, "system:nodes"},
}

// adminCertificate is the kubeconfig of the same admin, by client certificate instead of token.
const adminCertificate = "admin-cert"

// people are the names `kubeconfig --user` takes.
var people = []string{"admin", adminCertificate, "airflow", "alice"}

func checkPerson(name string) error {
	if slices.Contains(people, name) {
		return nil
	}
	return &trouble{
		what: fmt.Sprintf("there is no user %q", name),
		hint: "--user takes one of " + strings.Join(people, ", "),
	}
}

func writeUsers(p place, clusterName string, ca []byte, admin pair) error {
	if err := os.MkdirAll(p.path("kubeconfig"), 0o700); err != nil {
		return err
	}
	var tokens strings.Builder
	for _, u := range users {
		token := newToken()
		fmt.Fprintf(&tokens, "%s,%s,%s", token, u.name, u.file)
		if u.group != "" {
			fmt.Fprintf(&tokens, ",%q", u.group)
		}
		tokens.WriteByte('\n')
		if err := writeKubeconfig(p, clusterName, u.file, ca, clientcmdapi.AuthInfo{Token: token}); err != nil {
			return err
		}
	}
	if err := os.WriteFile(p.path("tokens.csv"), []byte(tokens.String()), 0o600); err != nil {
		return err
	}
	return writeKubeconfig(p, clusterName, adminCertificate, ca, clientcmdapi.AuthInfo{
		ClientCertificateData: admin.certificate, ClientKeyData: admin.key,
	})
}

func newToken() string {
	var bytes [24]byte
	rand.Read(bytes[:]) // ends the program rather than fail
	return hex.EncodeToString(bytes[:])
}

// writeKubeconfig embeds everything, so that the file can be copied to another place.
func writeKubeconfig(p place, clusterName, user string, ca []byte, credentials clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[clusterName] = &clientcmdapi.Cluster{Server: p.server(), CertificateAuthorityData: ca}
	config.AuthInfos[user] = &credentials
	context := user + "@" + clusterName
	config.Contexts[context] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: user, Namespace: "default"}
	config.CurrentContext = context
	return clientcmd.WriteToFile(*config, p.kubeconfig(user))
}
