// What `manifests` answers. Needs no cluster and no root.

package harness

import (
	"strings"
	"testing"
)

func TestEachTextIsAnsweredByALineWithItsDocumentsAsKubectlReadsThem(t *testing.T) {
	texts := strings.Join([]string{`"a: 10:30\nb: 010\n---\n# empty\n---\nc: 1.0"`, `"a: ["`, `""`, ""}, "\n")
	var answers strings.Builder
	if err := readManifests(strings.NewReader(texts), &answers); err != nil {
		t.Fatal(err)
	}
	want := `{"documents":[{"a":"10:30","b":8},{"c":1}],"error":""}`
	lines := strings.Split(answers.String(), "\n")
	if len(lines) != 4 || lines[0] != want {
		t.Errorf("%d lines, the first %s", len(lines), lines[0])
	}
	if !strings.Contains(lines[1], `"documents":[],"error":"error converting YAML`) {
		t.Errorf("what is no YAML: %s", lines[1])
	}
	if lines[2] != `{"documents":[],"error":""}` {
		t.Errorf("an empty text: %s", lines[2])
	}
}
