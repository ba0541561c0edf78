// The certificates of a cluster: one authority, and what it signs for servers and clients.
//
// Promise: keys are P-256, live for ten years and are made anew for every cluster; the authority's own key is written
// nowhere but in the cluster's folder.

package harness

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

const lifetime = 10 * 365 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// pair is a certificate with its key, both PEM.
type pair struct {
	certificate []byte
	key         []byte
}

// subject is what a certificate says of its holder. Kubernetes reads the user from the name and groups from Organization.
type subject struct {
	name   string
	groups []string
	ips    []string
	names  []string
}

func newAuthority(name string) (*authority, pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, pair{}, err
	}
	template := template(subject{name: name})
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, pair{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, pair{}, err
	}
	encoded, err := encode(der, key)
	return &authority{certificate, key}, encoded, err
}

// server signs a certificate for the addresses and names of the subject.
func (a *authority) server(s subject) (pair, error) { return a.sign(s, x509.ExtKeyUsageServerAuth) }

// client signs a certificate that makes its holder the user of the subject.
func (a *authority) client(s subject) (pair, error) { return a.sign(s, x509.ExtKeyUsageClientAuth) }

func (a *authority) sign(s subject, usage x509.ExtKeyUsage) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template := template(s)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return pair{}, err
	}
	return encode(der, key)
}

func template(s subject) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // crypto/rand ends the program rather than fail
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: s.name, Organization: s.groups},
		NotBefore:             time.Now().Add(-time.Hour), // a clock that jumps back a little does not matter
		NotAfter:              time.Now().Add(lifetime),
		BasicConstraintsValid: true,
		DNSNames:              s.names,
	}
	for _, ip := range s.ips {
		t.IPAddresses = append(t.IPAddresses, net.ParseIP(ip))
	}
	return t
}

func encode(der []byte, key *ecdsa.PrivateKey) (pair, error) {
	text, err := encodeKey(key)
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), text}, err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

// writeCertificates makes all certificates of a cluster and returns those that go into kubeconfig files.
func writeCertificates(p place) (ca []byte, admin pair, err error) {
	if err := os.MkdirAll(p.path("pki"), 0o700); err != nil {
		return nil, pair{}, err
	}
	authority, caPair, err := newAuthority("unique-k8s-job test cluster")
	if err != nil {
		return nil, pair{}, err
	}
	server, err := authority.server(subject{
		name:  "kube-apiserver",
		ips:   []string{"127.0.0.1", p.clusterIP(), "10.0.0.1"},
		names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
	})
	if err != nil {
		return nil, pair{}, err
	}
	toKubelet, err := authority.client(subject{name: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}})
	if err != nil {
		return nil, pair{}, err
	}
	proxy, err := authority.client(subject{name: "proxy"})
	if err != nil {
		return nil, pair{}, err
	}
	admin, err = authority.client(subject{name: "admin", groups: []string{"system:masters"}})
	if err != nil {
		return nil, pair{}, err
	}
	serviceAccounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, pair{}, err
	}
	serviceAccountKey, err := encodeKey(serviceAccounts)
	if err != nil {
		return nil, pair{}, err
	}
	for name, content := range map[string]pair{"ca": caPair, "server": server, "kubelet-client": toKubelet, "proxy": proxy,
		"service-accounts": {key: serviceAccountKey}} {
		if content.certificate != nil {
			if err := os.WriteFile(p.certificate(name), content.certificate, 0o600); err != nil {
				return nil, pair{}, err
			}
		}
		if err := os.WriteFile(p.key(name), content.key, 0o600); err != nil {
			return nil, pair{}, err
		}
	}
	return caPair.certificate, admin, nil
}
