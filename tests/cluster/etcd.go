// etcd as a component: one member, on loopback, without fsync.
//
// Promise: it serves until SIGTERM or SIGINT, and ends with a message if it cannot. It does not survive a crash of the
// machine: nothing is flushed to disk, which is right for a cluster that lives as long as a test run.

package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
)

func runEtcd() int {
	dir := pflag.String("data-dir", "", "where the data goes")
	client := pflag.String("listen-client-url", "http://127.0.0.1:2379", "where clients connect")
	peer := pflag.String("listen-peer-url", "http://127.0.0.1:2380", "where other members would connect")
	quota := pflag.Int64("quota-backend-bytes", 0, "size of the database at which etcd stops writing, 0 for its default of 2 GB")
	pflag.Parse()

	config, err := etcdConfig(*dir, *client, *peer)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 2
	}
	config.QuotaBackendBytes = *quota
	server, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
}

func etcdConfig(dir, client, peer string) (*embed.Config, error) {
	if dir == "" {
		return nil, fmt.Errorf("--data-dir is required")
	}
	clientURL, err := url.Parse(client)
	if err != nil {
		return nil, fmt.Errorf("--listen-client-url: %w", err)
	}
	peerURL, err := url.Parse(peer)
	if err != nil {
		return nil, fmt.Errorf("--listen-peer-url: %w", err)
	}
	config := embed.NewConfig()
	config.Dir = dir
	config.ListenClientUrls = []url.URL{*clientURL}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{*peerURL}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration // without it every request is a warning
	return config, nil
}
