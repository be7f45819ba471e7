package main

import (
	"encoding/json"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// fields turns a value of the SDK into its fields, which have the names of the library's own types.
func fields(value any) map[string]any {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	var record map[string]any
	if err := json.Unmarshal(encoded, &record); err != nil {
		panic(err)
	}
	return record
}

// seconds is a time as the protocol has it; null for one that never was.
func seconds(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.Unix()
}

// emptyIsNull says that a field of Go that is empty is one that is not there.
func emptyIsNull(record map[string]any, names ...string) {
	for _, name := range names {
		if value := record[name]; value == "" || value == float64(0) {
			record[name] = nil
		}
	}
}

func imageRecord(info boxlite.ImageInfo) map[string]any { return timesOfImage(fields(info), info) }

func detailsRecord(details *boxlite.ImageDetails) map[string]any {
	return timesOfImage(fields(details), details.ImageInfo)
}

func timesOfImage(record map[string]any, info boxlite.ImageInfo) map[string]any {
	record["cached_at"], record["last_used_at"] = seconds(info.CachedAt), seconds(info.LastUsedAt)
	emptyIsNull(record, "created")
	return record
}

func boxRecord(info *boxlite.BoxInfo) map[string]any {
	record := fields(info)
	record["created_at"], record["started_at"] = seconds(info.CreatedAt), seconds(info.StartedAt)
	record["stopped_at"] = seconds(info.StoppedAt)
	emptyIsNull(record, "name", "pid")
	return record
}

// eventFields are those that belong to a type of event.
var eventFields = map[string][]string{
	"pull":            {"reference", "event"},
	"box_created":     {"id"},
	"box_starting":    {"id", "stage"},
	"box_stage":       {"id", "stage", "elapsed_us"},
	"box_started":     {"id", "elapsed_us"},
	"box_stopped":     {"id", "exit_code"},
	"box_removed":     {"id"},
	"exec_started":    {"id", "program"},
	"exec_completed":  {"id", "status"},
	"file_copied_in":  {"id", "path"},
	"file_copied_out": {"id", "path"},
}

// pullEventFields are those that belong to a type of step of a pull.
var pullEventFields = map[string][]string{
	"resolving":         {"reference"},
	"resolved":          {"id", "layer_count", "total_bytes"},
	"layer_cached":      {"digest"},
	"layer_downloading": {"digest", "received_bytes", "total_bytes"},
	"layer_waiting":     {"digest"},
	"layer_done":        {"digest"},
	"retrying":          {"what", "attempt", "delay_ms", "reason"},
	"merging":           {},
	"done":              {"id", "cached", "elapsed_ms"},
}

func eventRecord(event *boxlite.Event) map[string]any {
	record := pick(fields(event), eventFields[event.Type])
	if event.Pull != nil {
		record["event"] = pullEventRecord(*event.Pull)
	}
	return record
}

func pullEventRecord(event boxlite.PullEvent) map[string]any {
	return pick(fields(event), pullEventFields[event.Type])
}

func pick(record map[string]any, names []string) map[string]any {
	picked := map[string]any{"type": record["type"]}
	for _, name := range names {
		picked[name] = record[name]
	}
	return picked
}
