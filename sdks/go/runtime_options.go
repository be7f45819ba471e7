package boxlite

import "time"

// RuntimeOption says how a runtime is opened.
type RuntimeOption interface{ applyRuntime(*runtimeConfig) }

type runtimeOption func(*runtimeConfig)

func (o runtimeOption) applyRuntime(config *runtimeConfig) { o(config) }

// runtimeConfig is what the options add up to; what is not set is the library's default.
type runtimeConfig struct {
	home         string
	registries   []ImageRegistry
	dockerConfig string
	qemu         string
	kernel       string
	accelerator  Accelerator
	spareMachine bool
	retryDelay   time.Duration
	attempts     int
	// parallelLayers is 0 for the default.
	parallelLayers int
}

// WithHomeDir names the home directory; by default it is $BOXLITE_HOME, and ~/.boxlite without that.
func WithHomeDir(directory string) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.home = directory })
}

// Transport is the protocol spoken to a registry.
type Transport string

// The protocols.
const (
	// TransportHTTPS is TLS, the default. A registry on loopback may fall back to plain HTTP, as docker does it.
	TransportHTTPS Transport = "https"
	// TransportHTTP is plain HTTP, because it was asked for.
	TransportHTTP Transport = "http"
)

// ImageRegistry is what is known of one registry; others are spoken to over https with the system's certificates.
type ImageRegistry struct {
	// Host has the port with it if it is not the usual one.
	Host string
	// Transport is TransportHTTPS if empty.
	Transport Transport
	// SkipVerify accepts any certificate.
	SkipVerify bool
	// Search looks up names without a host here, in the order of the list.
	Search bool
	// CAFile is a PEM file of authorities trusted for this host besides the system's.
	CAFile string
	// Auth are credentials; they win over those of the docker configuration.
	Auth ImageRegistryAuth
}

// ImageRegistryAuth are credentials for a registry: a user name and a password, or one of the tokens.
type ImageRegistryAuth struct {
	Username string
	Password string
	// BearerToken is one the registry itself accepts.
	BearerToken string
	// IdentityToken is a refresh token that is exchanged for one at the token service.
	IdentityToken string
}

// String keeps credentials out of logs.
func (ImageRegistryAuth) String() string { return "ImageRegistryAuth(..)" }

// GoString keeps credentials out of logs.
func (ImageRegistryAuth) GoString() string { return "ImageRegistryAuth(..)" }

// WithImageRegistry adds what is known of a registry.
func WithImageRegistry(registry ImageRegistry) RuntimeOption {
	return WithImageRegistries(registry)
}

// WithImageRegistries adds what is known of several registries.
func WithImageRegistries(registries ...ImageRegistry) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.registries = append(config.registries, registries...) })
}

// WithDockerConfig names the docker config.json that credentials are taken from, instead of the usual one.
func WithDockerConfig(file string) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.dockerConfig = file })
}

// WithRetries sets how often a request to a registry is tried in all, and the delay before the second time, which doubles
// for each one after it.
func WithRetries(attempts int, delay time.Duration) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.attempts, config.retryDelay = attempts, delay })
}

// WithParallelLayers sets how many layers are fetched and converted at a time, by all pulls together; 4 by default.
func WithParallelLayers(layers int) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.parallelLayers = layers })
}

// Accelerator is what runs the guests of virtual machines.
type Accelerator int

// The accelerators.
const (
	// AcceleratorFastest is the fastest that is proven to run a guest on this host, the default.
	AcceleratorFastest Accelerator = iota
	// AcceleratorKVM is hardware virtualisation, or an error.
	AcceleratorKVM
	// AcceleratorTCG is software emulation.
	AcceleratorTCG
)

// WithAccelerator chooses what runs the guests.
func WithAccelerator(accelerator Accelerator) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.accelerator = accelerator })
}

// WithSpareMachine keeps one machine ready for the next start, from the first start of a box on, for boxes of the same
// image and size that are not detached; Prepare waits until it is ready. Without hardware virtualisation a start then
// takes a quarter to half of the time, for the memory of one more idle box and, after each start, half a second of a processor.
func WithSpareMachine() RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.spareMachine = true })
}

// WithQEMU names the QEMU to run, instead of the one on the PATH.
func WithQEMU(program string) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.qemu = program })
}

// WithKernel chooses the release of the guest kernel among those installed in the home.
func WithKernel(release string) RuntimeOption {
	return runtimeOption(func(config *runtimeConfig) { config.kernel = release })
}
