// Certificates as a TLS peer judges them. Needs no cluster and no root.

package harness

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
)

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || len(rest) != 0 {
		t.Fatalf("not one PEM block: %q", text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func testPlace(t *testing.T) place {
	return place{dir: t.TempDir(), number: 7}
}

func TestServerCertificateIsTrustedForEveryAddressTheApiserverHas(t *testing.T) {
	p := testPlace(t)
	ca, _, err := writeCertificates(p)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.certificate("server"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, ca))
	server := parse(t, text)
	for _, name := range []string{"10.99.7.1", "127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: "10.99.8.1"}); err == nil {
		t.Error("trusted for the address of another cluster")
	}
}

func TestAdminCertificateMakesAClientOfGroupMasters(t *testing.T) {
	ca, admin, err := writeCertificates(testPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, ca))
	certificate := parse(t, admin.certificate)
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client certificate passes for a server's")
	}
	if certificate.Subject.CommonName != "admin" || certificate.Subject.Organization[0] != "system:masters" {
		t.Errorf("subject is %s", certificate.Subject)
	}
}

func TestAuthorityOfAnotherClusterIsNotTrusted(t *testing.T) {
	_, admin, err := writeCertificates(testPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := writeCertificates(testPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, other))
	if _, err := parse(t, admin.certificate).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
		t.Error("certificate of one cluster verifies in another")
	}
}

func TestKeysAreReadableByTheirOwnerOnly(t *testing.T) {
	p := testPlace(t)
	if _, _, err := writeCertificates(p); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca", "server", "kubelet-client", "proxy", "service-accounts"} {
		info, err := os.Stat(p.key(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o", name, info.Mode().Perm())
		}
	}
}
