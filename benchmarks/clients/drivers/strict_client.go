// A typed client as people write them in Go: every field has a type, and an unknown field is an error.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"time"
)

type Accepted struct {
	PromptID   string                     `json:"prompt_id"`
	Number     int                        `json:"number"`
	NodeErrors map[string]json.RawMessage `json:"node_errors"`
}

// The queue's tuple: number, prompt id, prompt, extra data, output nodes; newer servers add one more.
type Item struct {
	Number   int
	PromptID string
	Prompt   map[string]json.RawMessage
	Extra    map[string]any
	Outputs  []string
}

func (item *Item) UnmarshalJSON(data []byte) error {
	fields := []json.RawMessage{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	if len(fields) < 5 {
		return fmt.Errorf("an item of %d fields", len(fields))
	}
	into := []any{&item.Number, &item.PromptID, &item.Prompt, &item.Extra, &item.Outputs}
	for place, target := range into {
		if err := json.Unmarshal(fields[place], target); err != nil {
			return fmt.Errorf("field %d: %w", place, err)
		}
	}
	return nil
}

type Queue struct {
	Running []Item `json:"queue_running"`
	Pending []Item `json:"queue_pending"`
}

type File struct {
	Filename  string `json:"filename"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"`
}

type Output struct {
	Images []File   `json:"images"`
	Text   []string `json:"text"`
}

type Meta struct {
	NodeID      string  `json:"node_id"`
	DisplayNode string  `json:"display_node"`
	ParentNode  *string `json:"parent_node"`
	RealNodeID  string  `json:"real_node_id"`
}

type Status struct {
	StatusStr string              `json:"status_str"`
	Completed bool                `json:"completed"`
	Messages  [][]json.RawMessage `json:"messages"`
}

type Entry struct {
	Prompt  Item              `json:"prompt"`
	Outputs map[string]Output `json:"outputs"`
	Status  Status            `json:"status"`
	Meta    map[string]Meta   `json:"meta"`
}

type Timed struct {
	PromptID  string   `json:"prompt_id"`
	Timestamp int64    `json:"timestamp"`
	Nodes     []string `json:"nodes"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func decode(body io.Reader, target any) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	check(decoder.Decode(target))
}

func get(address string, target any) {
	answer, err := http.Get(address)
	check(err)
	defer answer.Body.Close()
	decode(answer.Body, target)
}

func main() {
	server, graph, folder := os.Args[1], os.Args[2], os.Args[3]
	notes := [][]any{}
	text, err := os.ReadFile(graph)
	check(err)
	body := append(append([]byte(`{"client_id": "go", "prompt": `), text...), '}')
	answer, err := http.Post(server+"/prompt", "application/json", bytes.NewReader(body))
	check(err)
	accepted := Accepted{}
	decode(answer.Body, &accepted)
	notes = append(notes, []any{"accepted", len(accepted.NodeErrors)})
	entries, seen := map[string]Entry{}, false
	for len(entries) == 0 {
		queue := Queue{}
		get(server+"/queue", &queue)
		for _, item := range append(queue.Running, queue.Pending...) {
			if item.PromptID == accepted.PromptID && !seen {
				seen = true
				sort.Strings(item.Outputs)
				notes = append(notes, []any{"queued", item.Number == accepted.Number, item.Outputs, len(item.Prompt)})
			}
		}
		get(server+"/history/"+accepted.PromptID, &entries)
		time.Sleep(5 * time.Millisecond)
	}
	entry := entries[accepted.PromptID]
	sort.Strings(entry.Prompt.Outputs)
	notes = append(notes, []any{"entry", entry.Status.StatusStr, entry.Status.Completed, entry.Prompt.Outputs})
	for _, message := range entry.Status.Messages {
		kind, timed := "", Timed{}
		check(json.Unmarshal(message[0], &kind))
		decode(bytes.NewReader(message[1]), &timed)
		notes = append(notes, []any{"message", kind, timed.PromptID == accepted.PromptID, timed.Nodes})
	}
	nodes := []string{}
	for node := range entry.Outputs {
		nodes = append(nodes, node)
	}
	sort.Strings(nodes)
	for _, node := range nodes {
		output, meta := entry.Outputs[node], entry.Meta[node]
		notes = append(notes, []any{node, meta.DisplayNode, meta.RealNodeID, len(output.Images), output.Text})
		for place, file := range output.Images {
			query := url.Values{"filename": {file.Filename}, "subfolder": {file.Subfolder}, "type": {file.Type}}
			picture, err := http.Get(server + "/view?" + query.Encode())
			check(err)
			data, err := io.ReadAll(picture.Body)
			check(err)
			name := fmt.Sprintf("%s-%s-%d.png", node, file.Type, place)
			check(os.WriteFile(filepath.Join(folder, name), data, 0o644))
		}
	}
	written, err := json.Marshal(notes)
	check(err)
	check(os.WriteFile(filepath.Join(folder, "notes.json"), written, 0o644))
}
