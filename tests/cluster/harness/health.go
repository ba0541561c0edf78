// Whether components answer, asked from inside the cluster's namespace, so that a cut link does not look like a dead API
// server.

package harness

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// checkTimeout is how long a component has to answer before it counts as not healthy.
const checkTimeout = time.Second

// check asks a component once.
type check func(ctx context.Context, p place) error

// answers expects status 200 from a component that serves health to anybody on loopback with a certificate of its own.
func answers(format string, port int) check {
	return func(ctx context.Context, p place) error {
		transport := &http.Transport{
			DialContext:       dialInside(p),
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // loopback of our own namespace, nothing secret is sent
		}
		_, err := get(ctx, &http.Client{Transport: transport}, fmt.Sprintf(format, port))
		return err
	}
}

func apiserverReady(ctx context.Context, p place) error {
	_, err := apiGet(ctx, p, "/readyz")
	return err
}

// apiGet asks the API server as admin.
func apiGet(ctx context.Context, p place, path string) ([]byte, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig("admin"))
	if err != nil {
		return nil, err
	}
	config.Dial = dialInside(p)
	config.Proxy = nil
	config.DisableCompression = true
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	return get(ctx, client, p.server()+path)
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("no answer within %s", checkTimeout)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body[:min(len(body), 300)])))
	}
	return body, err
}

func containerdServes(ctx context.Context, p place) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	connection, err := grpc.NewClient("unix://"+p.containerdSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	answer, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("containerd says %s", answer.Status)
	}
	return nil
}

// nodeReady is nil when the scheduler may place Pods on the node.
func nodeReady(ctx context.Context, p place) error {
	body, err := apiGet(ctx, p, "/api/v1/nodes/"+nodeName)
	if err != nil {
		return err
	}
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, taint := range node.Spec.Taints {
		return fmt.Errorf("taint %s", taint.Key)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("not Ready: %s", condition.Message)
		}
	}
	return errors.New("no condition Ready yet")
}

// defaultAccount is nil once Pods are admitted to namespace default.
func defaultAccount(ctx context.Context, p place) error {
	_, err := apiGet(ctx, p, "/api/v1/namespaces/default/serviceaccounts/default")
	return err
}

// await asks until the check passes, the process ends, or time is up; then it says what the last answer was.
func await(ctx context.Context, p place, what string, limit time.Duration, ended <-chan struct{}, ask check) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ask(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended before it was ready", what)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errors.New("interrupted")
			}
			return fmt.Errorf("%s was not ready after %s: %w", what, limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
