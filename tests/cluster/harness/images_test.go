// Archives, read back by another reader of the format. Needs no cluster and no root.

package harness

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

func entries(t *testing.T, archive []byte) (map[string][]byte, map[string]*tar.Header) {
	t.Helper()
	content, headers := map[string][]byte{}, map[string]*tar.Header{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return content, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		content[header.Name], headers[header.Name] = text, header
	}
}

func TestArchiveNamesItsConfigAndItsLayerByTheirDigests(t *testing.T) {
	var archive bytes.Buffer
	files := busyboxFiles([]byte("program"), []string{"busybox", "sh", "sleep"})
	if err := writeImage(&archive, busyboxImage, files, imageConfig{Cmd: []string{"sh"}, Env: environment, WorkingDir: "/"}); err != nil {
		t.Fatal(err)
	}
	content, _ := entries(t, archive.Bytes())
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(content["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || manifest[0].RepoTags[0] != "local.test/busybox:1" || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest %+v", manifest)
	}
	config := content[manifest[0].Config]
	if manifest[0].Config != digest(config)+".json" {
		t.Errorf("config is called %s", manifest[0].Config)
	}
	var parsed struct {
		Config struct{ Cmd []string }
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	if want := "sha256:" + digest(content[manifest[0].Layers[0]]); parsed.Rootfs.DiffIDs[0] != want {
		t.Errorf("layer is %s, config says %s", want, parsed.Rootfs.DiffIDs[0])
	}
	if parsed.Config.Cmd[0] != "sh" {
		t.Errorf("config %s", config)
	}
}

func TestBusyboxLayerLinksEveryAppletToTheProgram(t *testing.T) {
	layer, err := layerArchive(busyboxFiles([]byte("program"), []string{"busybox", "sh", "sleep"}))
	if err != nil {
		t.Fatal(err)
	}
	content, headers := entries(t, layer)
	if string(content["bin/busybox"]) != "program" || headers["bin/busybox"].Mode != 0o755 {
		t.Errorf("program: %+v", headers["bin/busybox"])
	}
	for _, applet := range []string{"bin/sh", "bin/sleep"} {
		if h := headers[applet]; h == nil || h.Typeflag != tar.TypeSymlink || h.Linkname != "busybox" {
			t.Errorf("%s: %+v", applet, h)
		}
	}
	if headers["tmp/"].Mode != 0o1777 {
		t.Errorf("tmp: mode %o", headers["tmp/"].Mode)
	}
}

func TestSameFilesGiveTheSameArchive(t *testing.T) {
	archive := func() string {
		var out bytes.Buffer
		if err := writeImage(&out, pauseImage, pauseFiles([]byte("program")), imageConfig{}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if archive() != archive() {
		t.Error("two archives of the same files differ")
	}
}
