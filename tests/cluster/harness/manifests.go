// What kubectl reads in a text: the same calls of apimachinery, without a process for each text.

package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	apijson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// manifest is what one text means: its documents that are not empty, and the error at which reading ended.
type manifest struct {
	Documents []any  `json:"documents"`
	Error     string `json:"error"`
}

func manifestsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "manifests",
		Short: "Say what kubectl reads in texts: each line of stdin is one, as a JSON string, each line of stdout its documents",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return readManifests(command.InOrStdin(), command.OutOrStdout())
		},
	}
}

func readManifests(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var text string
		if err := json.Unmarshal(line, &text); err != nil {
			return err
		}
		if err := answers.Encode(readManifest(text)); err != nil {
			return err
		}
	}
}

// readManifest does what StreamVisitor of k8s.io/cli-runtime does with a file, and what kubectl's codec then does with each document.
func readManifest(text string) manifest {
	read := manifest{Documents: []any{}}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var document runtime.RawExtension
		var value any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return read
		}
		document.Raw = bytes.TrimSpace(document.Raw)
		if err == nil && len(document.Raw) > 0 {
			err = apijson.Unmarshal(document.Raw, &value)
		}
		if err != nil {
			read.Error = err.Error()
			return read
		}
		if value != nil {
			read.Documents = append(read.Documents, value)
		}
	}
}
