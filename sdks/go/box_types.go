package boxlite

import "time"

// BoxState is what a box is doing.
type BoxState string

// The states of a box.
const (
	// BoxCreated was made and never started.
	BoxCreated BoxState = "created"
	// BoxStarting is being started.
	BoxStarting BoxState = "starting"
	// BoxRunning runs.
	BoxRunning BoxState = "running"
	// BoxStopping is being stopped.
	BoxStopping BoxState = "stopping"
	// BoxStopped has stopped; its disk is kept and it can be started again.
	BoxStopped BoxState = "stopped"
)

// IsolationInfo is what in truth isolates a running box.
type IsolationInfo struct {
	// Engine is its engine, as `vm`.
	Engine string `json:"engine"`
	// Accelerator is `kvm` or `tcg`.
	Accelerator string `json:"accelerator"`
	// Kernel is the release of the guest's kernel.
	Kernel string `json:"kernel"`
	// Confinement is what confines the machine on the host, each one in force.
	Confinement []string `json:"confinement"`
	// FromTemplate tells that the machine came out of a warm template.
	FromTemplate bool `json:"from_template"`
}

// BoxInfo is what is known of one box.
type BoxInfo struct {
	ID string `json:"id"`
	// Name is empty if it was given none.
	Name string `json:"name"`
	// Image is the full reference of its image.
	Image string `json:"image"`
	// ImageID is the manifest digest of its image.
	ImageID string   `json:"image_id"`
	State   BoxState `json:"state"`
	// CreatedAt, StartedAt and StoppedAt are zero for what has not happened.
	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at"`
	StoppedAt time.Time `json:"stopped_at"`
	// ExitCode is that of its main command, or of its machine (137 if it was killed), after it last stopped.
	ExitCode *int `json:"exit_code"`
	// PID is the process id of its supervisor while it runs, and 0 otherwise.
	PID int `json:"pid"`
	// Isolation is set while it runs.
	Isolation *IsolationInfo `json:"isolation"`
	// Spec is the box as it was asked for.
	Spec BoxSpec `json:"spec"`
}

// BoxSpec is a box as it was asked for.
type BoxSpec struct {
	Image    string    `json:"image"`
	Name     string    `json:"name,omitempty"`
	Platform *Platform `json:"platform,omitempty"`
	// Isolation is how it is isolated, as `vm`.
	Isolation  string    `json:"isolation,omitempty"`
	Resources  Resources `json:"resources"`
	Env        []string  `json:"env,omitempty"`
	WorkingDir string    `json:"cwd,omitempty"`
	User       string    `json:"user,omitempty"`
	Hostname   string    `json:"hostname,omitempty"`
	// Entrypoint is nil if it is the image's.
	Entrypoint []string `json:"entrypoint"`
	// Main is the command that runs at each start; nil for a box that stays up until it is stopped.
	Main       *ExecSpec `json:"main"`
	Detach     bool      `json:"detach"`
	AutoRemove bool      `json:"auto_remove"`
	Labels     []string  `json:"labels,omitempty"`
}

// Resources are what a box may use.
type Resources struct {
	// CPUs is the number of virtual processors, 1 to 16.
	CPUs int `json:"cpus"`
	// MemoryMiB is its memory, 128 to 65536.
	MemoryMiB int `json:"memory_mib"`
	// DiskMiB is the size of its own writable disk, 64 to 61440.
	DiskMiB int `json:"disk_mib"`
}

// ExecSpec is a command as it was asked for.
type ExecSpec struct {
	Argv       []string          `json:"argv"`
	Env        map[string]string `json:"env,omitempty"`
	WorkingDir string            `json:"cwd,omitempty"`
	User       string            `json:"user,omitempty"`
	TTY        *TerminalSize     `json:"tty,omitempty"`
	Stdin      bool              `json:"stdin,omitempty"`
	// TimeoutMilliseconds ends the command; nil for none.
	TimeoutMilliseconds *uint64 `json:"timeout_ms,omitempty"`
	// Detach lets it go on when nobody holds it any more.
	Detach bool `json:"detach,omitempty"`
}

// defaultResources are those of a box for which nothing else is asked.
func defaultResources() Resources { return Resources{CPUs: 1, MemoryMiB: 1024, DiskMiB: 10240} }

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// BoxMetrics is what a running box uses at this moment.
type BoxMetrics struct {
	// CPUMicroseconds is the processor time used by the guest since it started.
	CPUMicroseconds uint64 `json:"cpu_usec"`
	// MemoryUsedBytes is in use inside, without caches.
	MemoryUsedBytes  uint64 `json:"memory_used_bytes"`
	MemoryTotalBytes uint64 `json:"memory_total_bytes"`
	DiskUsedBytes    uint64 `json:"disk_used_bytes"`
	DiskTotalBytes   uint64 `json:"disk_total_bytes"`
	// Processes counts those inside, the agent included.
	Processes     uint64 `json:"processes"`
	UptimeSeconds uint64 `json:"uptime_secs"`
	// HostMemoryBytes is the proportional share of host memory taken by its machine.
	HostMemoryBytes uint64 `json:"host_memory_bytes"`
}

// ExitStatus is how a command ended.
type ExitStatus struct {
	// Code is set if it exited by itself.
	Code *int `json:"code"`
	// Signal is set if one ended it.
	Signal *int `json:"signal"`
	// OOMKilled tells that the kernel killed it, or a process below it, for lack of memory.
	OOMKilled bool `json:"oom_killed"`
	// TimedOut tells that its timeout ended it.
	TimedOut bool `json:"timed_out"`
}

// Success reports whether the command exited with 0.
func (s ExitStatus) Success() bool { return s.Code != nil && *s.Code == 0 }

// ExitCode returns the one number a shell would give: the exit code, or 128 + the signal.
func (s ExitStatus) ExitCode() int {
	switch {
	case s.Code != nil:
		return *s.Code
	case s.Signal != nil:
		return 128 + *s.Signal
	default:
		return 128
	}
}

// wireBoxInfo reads a BoxInfo: what stands outside hides what is embedded.
type wireBoxInfo struct {
	BoxInfo
	CreatedAt unixTime `json:"created_at"`
	StartedAt unixTime `json:"started_at"`
	StoppedAt unixTime `json:"stopped_at"`
}

func (w wireBoxInfo) public() *BoxInfo {
	w.BoxInfo.CreatedAt, w.BoxInfo.StartedAt, w.BoxInfo.StoppedAt = w.CreatedAt.Time, w.StartedAt.Time, w.StoppedAt.Time
	return &w.BoxInfo
}
