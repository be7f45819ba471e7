package boxlite

// RuntimeMetrics is what a runtime has done since it was opened.
type RuntimeMetrics struct {
	BoxesCreatedTotal uint64 `json:"boxes_created_total"`
	// BoxesFailedTotal counts creations and starts that failed.
	BoxesFailedTotal uint64 `json:"boxes_failed_total"`
	// NumRunningBoxes counts the boxes of the home that run now, whoever started them.
	NumRunningBoxes       uint64 `json:"num_running_boxes"`
	TotalCommandsExecuted uint64 `json:"total_commands_executed"`
	// TotalExecErrors counts commands that could not be started.
	TotalExecErrors uint64 `json:"total_exec_errors"`
}

// UsageReport is the disk space of a home, by what it is used for; in bytes as the disk counts them.
type UsageReport struct {
	// Images is the number of distinct images.
	Images uint64 `json:"images"`
	// BlobBytes are compressed blobs, manifests and configurations.
	BlobBytes uint64 `json:"blob_bytes"`
	// LayerBytes are converted layers and merged filesystems.
	LayerBytes uint64 `json:"layer_bytes"`
	// PartialBytes are unfinished downloads.
	PartialBytes uint64 `json:"partial_bytes"`
	// Boxes is the number of boxes.
	Boxes uint64 `json:"boxes"`
	// BoxBytes are disks and logs of boxes.
	BoxBytes uint64 `json:"box_bytes"`
	// MachineBytes are kernels, warm templates and unpacked helpers.
	MachineBytes uint64 `json:"machine_bytes"`
	// ReclaimableBytes is what removing all unused images would give back.
	ReclaimableBytes uint64 `json:"reclaimable_bytes"`
}

// CheckReport is what an examination of a home found.
type CheckReport struct {
	// Examined counts images, layers, blobs and boxes looked at.
	Examined uint64 `json:"examined"`
	// BytesHashed were read and hashed.
	BytesHashed uint64 `json:"bytes_hashed"`
	// Findings is empty for a sound home.
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is not as it should be.
type Finding struct {
	// Kind is one word, as `corrupt-blob`, `missing-layer`, `orphan-file`, `dead-box`.
	Kind string `json:"kind"`
	// Subject is the file, image or box.
	Subject string `json:"subject"`
	// Detail is what is wrong with it, as one line.
	Detail string `json:"detail"`
	// Repaired tells whether the examination put it right.
	Repaired bool `json:"repaired"`
}

// DoctorReport is whether boxes can run on this host.
type DoctorReport struct {
	// Ready tells whether everything required is there.
	Ready bool `json:"ready"`
	// Checks is everything that was looked at.
	Checks []DoctorCheck `json:"checks"`
}

// DoctorCheck is one thing boxes need, or profit from.
type DoctorCheck struct {
	// Name is what was looked at.
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Required tells that boxes cannot run without it.
	Required bool `json:"required"`
	// Detail is what was found.
	Detail string `json:"detail"`
	// Hint is what to do if it is not as it should be.
	Hint string `json:"hint"`
}
