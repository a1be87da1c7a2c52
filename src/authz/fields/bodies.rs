//! The fields of JSON bodies, object by object, as the engine's own types have them.

use super::Object;

/// The body of each action that takes one. Lists stand for their items.
pub(super) static BODIES: &[(&str, &Object)] = &[
    ("checkpoint.create",  &CHECKPOINT),
    ("config.create",      &CONFIG_SPEC),
    ("config.update",      &CONFIG_SPEC),
    ("container.commit",   &CONFIG),
    ("container.copy",     &COPY),
    ("container.create",   &CONTAINER_CREATE),
    ("container.update",   &CONTAINER_UPDATE),
    ("exec.create",        &EXEC_CREATE),
    ("exec.start",         &EXEC_START),
    ("network.connect",    &NETWORK_CONNECT),
    ("network.create",     &NETWORK_CREATE),
    ("network.disconnect", &NETWORK_DISCONNECT),
    ("node.update",        &NODE_SPEC),
    ("plugin.pull",        &PLUGIN_PRIVILEGE),
    ("plugin.upgrade",     &PLUGIN_PRIVILEGE),
    ("secret.create",      &SECRET_SPEC),
    ("secret.update",      &SECRET_SPEC),
    ("service.create",     &SERVICE_SPEC),
    ("service.update",     &SERVICE_SPEC),
    ("swarm.init",         &SWARM_INIT),
    ("swarm.join",         &SWARM_JOIN),
    ("swarm.unlock",       &SWARM_UNLOCK),
    ("swarm.update",       &SWARM_SPEC),
    ("system.auth",        &LOGIN),
    ("volume.create",      &VOLUME_CREATE),
    ("volume.update",      &VOLUME_UPDATE),
];

/// A row: the object's name, those whose fields it has too, its own plain fields, and its fields
/// that hold objects, lists of them or maps of them.
const fn object(
    name: &'static str,
    with: &'static [&'static Object],
    plain: &'static [&'static str],
    objects: &'static [(&'static str, &'static Object)],
) -> Object {
    Object { name, with, plain, objects }
}

static CONTAINER_CREATE: Object = object("container.create", &[&CONFIG], &[], &[
    ("HostConfig", &HOST_CONFIG), ("NetworkingConfig", &NETWORKING_CONFIG),
]);
static CONTAINER_UPDATE: Object = object("container.update", &[&RESOURCES], &["Init"], &[
    ("RestartPolicy", &RESTART_POLICY),
]);
static CONFIG: Object = object("Config", &[], &[
    "ArgsEscaped", "AttachStderr", "AttachStdin", "AttachStdout", "Cmd", "Domainname",
    "Entrypoint", "Env", "ExposedPorts", "Hostname", "Image", "Labels", "MacAddress",
    "NetworkDisabled", "OnBuild", "OpenStdin", "Shell", "StdinOnce", "StopSignal", "StopTimeout",
    "Tty", "User", "Volumes", "WorkingDir",
], &[("Healthcheck", &HEALTH_CHECK)]);
pub(super) static HOST_CONFIG: Object = object("HostConfig", &[&RESOURCES], &[
    "Annotations", "AutoRemove", "Binds", "CapAdd", "CapDrop", "Capabilities", "Cgroup",
    "CgroupnsMode", "ConsoleSize", "ContainerIDFile", "Dns", "DnsOptions", "DnsSearch",
    "ExtraHosts", "GroupAdd", "Init", "IpcMode", "Isolation", "Links", "MaskedPaths",
    "NetworkMode", "OomScoreAdj", "PidMode", "Privileged", "PublishAllPorts", "ReadonlyPaths",
    "ReadonlyRootfs", "Runtime", "SecurityOpt", "ShmSize", "StorageOpt", "Sysctls", "Tmpfs",
    "UTSMode", "UsernsMode", "VolumeDriver", "VolumesFrom",
], &[
    ("LogConfig", &LOG_CONFIG), ("Mounts", &CONTAINER_MOUNT), ("PortBindings", &PORT_BINDING),
    ("RestartPolicy", &RESTART_POLICY),
]);
static RESOURCES: Object = object("Resources", &[], &[
    "BlkioWeight", "CgroupParent", "CpuCount", "CpuPercent", "CpuPeriod", "CpuQuota",
    "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems",
    "DeviceCgroupRules", "DiskQuota", "IOMaximumBandwidth", "IOMaximumIOps", "KernelMemory",
    "KernelMemoryTCP", "Memory", "MemoryReservation", "MemorySwap", "MemorySwappiness",
    "NanoCpus", "OomKillDisable", "PidsLimit",
], &[
    ("BlkioDeviceReadBps", &THROTTLE), ("BlkioDeviceReadIOps", &THROTTLE),
    ("BlkioDeviceWriteBps", &THROTTLE), ("BlkioDeviceWriteIOps", &THROTTLE),
    ("BlkioWeightDevice", &WEIGHT), ("DeviceRequests", &DEVICE_REQUEST), ("Devices", &DEVICE),
    ("Ulimits", &ULIMIT),
]);
static THROTTLE: Object = object("ThrottleDevice", &[], &["Path", "Rate"], &[]);
static WEIGHT: Object = object("WeightDevice", &[], &["Path", "Weight"], &[]);
static DEVICE: Object = object("Device", &[], &[
    "CgroupPermissions", "PathInContainer", "PathOnHost",
], &[]);
static DEVICE_REQUEST: Object = object("DeviceRequest", &[], &[
    "Capabilities", "Count", "DeviceIDs", "Driver", "Options",
], &[]);
static LOG_CONFIG: Object = object("LogConfig", &[], &["Config", "Type"], &[]);
static PORT_BINDING: Object = object("PortBinding", &[], &["HostIp", "HostPort"], &[]);
static NETWORKING_CONFIG: Object = object("NetworkingConfig", &[], &[], &[
    ("EndpointsConfig", &ENDPOINT_SETTINGS),
]);

static EXEC_CREATE: Object = object("exec.create", &[], &[
    "AttachStderr", "AttachStdin", "AttachStdout", "Cmd", "ConsoleSize", "Container", "Detach",
    "DetachKeys", "Env", "Privileged", "Tty", "User", "WorkingDir",
], &[]);
static EXEC_START: Object = object("exec.start", &[], &["ConsoleSize", "Detach", "Tty"], &[]);
static CHECKPOINT: Object = object("checkpoint.create", &[], &[
    "CheckpointDir", "CheckpointID", "Exit",
], &[]);
static COPY: Object = object("container.copy", &[], &["Resource"], &[]);

static HEALTH_CHECK: Object = object("Healthcheck", &[], &[
    "Interval", "Retries", "StartInterval", "StartPeriod", "Test", "Timeout",
], &[]);
static RESTART_POLICY: Object = object("RestartPolicy", &[], &[
    "MaximumRetryCount", "Name",
], &[]);
static ULIMIT: Object = object("Ulimit", &[], &["Hard", "Name", "Soft"], &[]);
static DRIVER: Object = object("Driver", &[], &["Name", "Options"], &[]);
static CONTAINER_MOUNT: Object = object("Mount", &[], &[
    "ClusterOptions", "Consistency", "ReadOnly", "Source", "Target", "Type",
], &[
    ("BindOptions", &BIND_OPTIONS), ("ImageOptions", &IMAGE_OPTIONS),
    ("TmpfsOptions", &TMPFS_OPTIONS), ("VolumeOptions", &VOLUME_OPTIONS),
]);
static BIND_OPTIONS: Object = object("BindOptions", &[], &[
    "CreateMountpoint", "NonRecursive", "Propagation", "ReadOnlyForceRecursive",
    "ReadOnlyNonRecursive",
], &[]);
static IMAGE_OPTIONS: Object = object("ImageOptions", &[], &["Subpath"], &[]);
static TMPFS_OPTIONS: Object = object("TmpfsOptions", &[], &["Mode", "Options", "SizeBytes"], &[]);
static VOLUME_OPTIONS: Object = object("VolumeOptions", &[], &["Labels", "NoCopy", "Subpath"], &[
    ("DriverConfig", &DRIVER),
]);

static NETWORK_CREATE: Object = object("network.create", &[], &[
    "Attachable", "CheckDuplicate", "ConfigOnly", "Driver", "EnableIPv4", "EnableIPv6",
    "Ingress", "Internal", "Labels", "Name", "Options", "Scope",
], &[("ConfigFrom", &CONFIG_FROM), ("IPAM", &IPAM)]);
static CONFIG_FROM: Object = object("ConfigFrom", &[], &["Network"], &[]);
static IPAM: Object = object("IPAM", &[], &["Driver", "Options"], &[("Config", &IPAM_CONFIG)]);
static IPAM_CONFIG: Object = object("IPAM.Config", &[], &[
    "AuxiliaryAddresses", "Gateway", "IPRange", "Subnet",
], &[]);
static NETWORK_CONNECT: Object = object("network.connect", &[], &["Container"], &[
    ("EndpointConfig", &ENDPOINT_SETTINGS),
]);
static NETWORK_DISCONNECT: Object = object("network.disconnect", &[], &["Container", "Force"], &[]);
static ENDPOINT_SETTINGS: Object = object("EndpointSettings", &[], &[
    "Aliases", "DNSNames", "DriverOpts", "EndpointID", "Gateway", "GlobalIPv6Address",
    "GlobalIPv6PrefixLen", "GwPriority", "IPAddress", "IPPrefixLen", "IPv6Gateway", "Links",
    "MacAddress", "NetworkID",
], &[("IPAMConfig", &ENDPOINT_IPAM)]);
static ENDPOINT_IPAM: Object = object("EndpointIPAMConfig", &[], &[
    "IPv4Address", "IPv6Address", "LinkLocalIPs",
], &[]);

static VOLUME_CREATE: Object = object("volume.create", &[], &[
    "Driver", "DriverOpts", "Labels", "Name",
], &[("ClusterVolumeSpec", &CLUSTER_VOLUME)]);
static VOLUME_UPDATE: Object = object("volume.update", &[], &[], &[("Spec", &CLUSTER_VOLUME)]);
static CLUSTER_VOLUME: Object = object("ClusterVolumeSpec", &[], &["Availability", "Group"], &[
    ("AccessMode", &ACCESS_MODE), ("AccessibilityRequirements", &TOPOLOGY),
    ("CapacityRange", &CAPACITY), ("Secrets", &VOLUME_SECRET),
]);
// The API's description has some fields of the specification here.
static ACCESS_MODE: Object = object("AccessMode", &[], &[
    "Availability", "BlockVolume", "Scope", "Sharing",
], &[
    ("AccessibilityRequirements", &TOPOLOGY), ("CapacityRange", &CAPACITY),
    ("MountVolume", &MOUNT_VOLUME), ("Secrets", &VOLUME_SECRET),
]);
static MOUNT_VOLUME: Object = object("MountVolume", &[], &["FsType", "MountFlags"], &[]);
static CAPACITY: Object = object("CapacityRange", &[], &["LimitBytes", "RequiredBytes"], &[]);
static TOPOLOGY: Object = object("AccessibilityRequirements", &[], &[], &[
    ("Preferred", &SEGMENTS), ("Requisite", &SEGMENTS),
]);
static SEGMENTS: Object = object("Topology", &[], &["Segments"], &[]);
static VOLUME_SECRET: Object = object("VolumeSecret", &[], &["Key", "Secret"], &[]);

static PLUGIN_PRIVILEGE: Object = object("PluginPrivilege", &[], &[
    "Description", "Name", "Value",
], &[]);
static LOGIN: Object = object("system.auth", &[], &[
    "auth", "email", "identitytoken", "password", "registrytoken", "serveraddress", "username",
], &[]);
static SECRET_SPEC: Object = object("SecretSpec", &[], &["Data", "Labels", "Name"], &[
    ("Driver", &DRIVER), ("Templating", &DRIVER),
]);
static CONFIG_SPEC: Object = object("ConfigSpec", &[], &["Data", "Labels", "Name"], &[
    ("Templating", &DRIVER),
]);

static SERVICE_SPEC: Object = object("ServiceSpec", &[], &["Labels", "Name"], &[
    ("EndpointSpec", &ENDPOINT_SPEC), ("Mode", &MODE), ("Networks", &ATTACHMENT),
    ("RollbackConfig", &UPDATE_CONFIG), ("TaskTemplate", &TASK), ("UpdateConfig", &UPDATE_CONFIG),
]);
static TASK: Object = object("TaskTemplate", &[], &["ForceUpdate", "Runtime"], &[
    ("ContainerSpec", &CONTAINER_SPEC), ("LogDriver", &DRIVER),
    ("NetworkAttachmentSpec", &NETWORK_ATTACHMENT), ("Networks", &ATTACHMENT),
    ("Placement", &PLACEMENT), ("PluginSpec", &PLUGIN_SPEC), ("Resources", &REQUIREMENTS),
    ("RestartPolicy", &TASK_RESTART),
]);
static CONTAINER_SPEC: Object = object("ContainerSpec", &[], &[
    "Args", "CapabilityAdd", "CapabilityDrop", "Command", "Dir", "Env", "Groups", "Hostname",
    "Hosts", "Image", "Init", "Isolation", "Labels", "OomScoreAdj", "OpenStdin", "ReadOnly",
    "StopGracePeriod", "StopSignal", "Sysctls", "TTY", "User",
], &[
    ("Configs", &CONFIG_REFERENCE), ("DNSConfig", &DNS), ("HealthCheck", &HEALTH_CHECK),
    ("Mounts", &CONTAINER_MOUNT), ("Privileges", &PRIVILEGES), ("Secrets", &SECRET_REFERENCE),
    ("Ulimits", &ULIMIT),
]);
static CONFIG_REFERENCE: Object = object("ConfigReference", &[], &["ConfigID", "ConfigName", "Runtime"], &[
    ("File", &FILE),
]);
static SECRET_REFERENCE: Object = object("SecretReference", &[], &["SecretID", "SecretName"], &[
    ("File", &FILE),
]);
static FILE: Object = object("File", &[], &["GID", "Mode", "Name", "UID"], &[]);
static DNS: Object = object("DNSConfig", &[], &["Nameservers", "Options", "Search"], &[]);
static PRIVILEGES: Object = object("Privileges", &[], &["NoNewPrivileges"], &[
    ("AppArmor", &APPARMOR), ("CredentialSpec", &CREDENTIAL_SPEC), ("SELinuxContext", &SELINUX),
    ("Seccomp", &SECCOMP),
]);
static APPARMOR: Object = object("AppArmor", &[], &["Mode"], &[]);
static CREDENTIAL_SPEC: Object = object("CredentialSpec", &[], &["Config", "File", "Registry"], &[]);
static SELINUX: Object = object("SELinuxContext", &[], &["Disable", "Level", "Role", "Type", "User"], &[]);
static SECCOMP: Object = object("Seccomp", &[], &["Mode", "Profile"], &[]);
static NETWORK_ATTACHMENT: Object = object("NetworkAttachmentSpec", &[], &["ContainerID"], &[]);
static ATTACHMENT: Object = object("NetworkAttachment", &[], &["Aliases", "DriverOpts", "Target"], &[]);
static PLUGIN_SPEC: Object = object("PluginSpec", &[], &["Disabled", "Env", "Name", "Remote"], &[
    ("PluginPrivilege", &PLUGIN_PRIVILEGE), ("Privileges", &PLUGIN_PRIVILEGE),
]);
static PLACEMENT: Object = object("Placement", &[], &["Constraints", "MaxReplicas"], &[
    ("Platforms", &PLATFORM), ("Preferences", &PREFERENCE),
]);
static PLATFORM: Object = object("Platform", &[], &["Architecture", "OS"], &[]);
static PREFERENCE: Object = object("Preference", &[], &[], &[("Spread", &SPREAD)]);
static SPREAD: Object = object("Spread", &[], &["SpreadDescriptor"], &[]);
static REQUIREMENTS: Object = object("TaskTemplate.Resources", &[], &["MemorySwappiness", "SwapBytes"], &[
    ("Limits", &LIMITS), ("Reservations", &LIMITS),
]);
static LIMITS: Object = object("Limits", &[], &["MemoryBytes", "NanoCPUs", "Pids"], &[
    ("GenericResources", &GENERIC_RESOURCE),
]);
static GENERIC_RESOURCE: Object = object("GenericResource", &[], &[], &[
    ("DiscreteResourceSpec", &KIND_AND_VALUE), ("NamedResourceSpec", &KIND_AND_VALUE),
]);
static KIND_AND_VALUE: Object = object("ResourceSpec", &[], &["Kind", "Value"], &[]);
static TASK_RESTART: Object = object("TaskTemplate.RestartPolicy", &[], &[
    "Condition", "Delay", "MaxAttempts", "Window",
], &[]);
static MODE: Object = object("Mode", &[], &["Global", "GlobalJob"], &[
    ("Replicated", &REPLICATED), ("ReplicatedJob", &REPLICATED_JOB),
]);
static REPLICATED: Object = object("Replicated", &[], &["Replicas"], &[]);
static REPLICATED_JOB: Object = object("ReplicatedJob", &[], &["MaxConcurrent", "TotalCompletions"], &[]);
static UPDATE_CONFIG: Object = object("UpdateConfig", &[], &[
    "Delay", "FailureAction", "MaxFailureRatio", "Monitor", "Order", "Parallelism",
], &[]);
static ENDPOINT_SPEC: Object = object("EndpointSpec", &[], &["Mode"], &[("Ports", &PORT)]);
static PORT: Object = object("Port", &[], &[
    "Name", "Protocol", "PublishMode", "PublishedPort", "TargetPort",
], &[]);

static SWARM_INIT: Object = object("swarm.init", &[], &[
    "AdvertiseAddr", "AutoLockManagers", "Availability", "DataPathAddr", "DataPathPort",
    "DefaultAddrPool", "ForceNewCluster", "ListenAddr", "SubnetSize",
], &[("Spec", &SWARM_SPEC)]);
static SWARM_JOIN: Object = object("swarm.join", &[], &[
    "AdvertiseAddr", "Availability", "DataPathAddr", "JoinToken", "ListenAddr", "RemoteAddrs",
], &[]);
static SWARM_UNLOCK: Object = object("swarm.unlock", &[], &["UnlockKey"], &[]);
static SWARM_SPEC: Object = object("SwarmSpec", &[], &["Labels", "Name"], &[
    ("CAConfig", &CA), ("Dispatcher", &DISPATCHER), ("EncryptionConfig", &ENCRYPTION),
    ("Orchestration", &ORCHESTRATION), ("Raft", &RAFT), ("TaskDefaults", &TASK_DEFAULTS),
]);
static CA: Object = object("CAConfig", &[], &[
    "ForceRotate", "NodeCertExpiry", "SigningCACert", "SigningCAKey",
], &[("ExternalCAs", &EXTERNAL_CA)]);
static EXTERNAL_CA: Object = object("ExternalCA", &[], &["CACert", "Options", "Protocol", "URL"], &[]);
static DISPATCHER: Object = object("Dispatcher", &[], &["HeartbeatPeriod"], &[]);
static ENCRYPTION: Object = object("EncryptionConfig", &[], &["AutoLockManagers"], &[]);
static ORCHESTRATION: Object = object("Orchestration", &[], &["TaskHistoryRetentionLimit"], &[]);
static RAFT: Object = object("Raft", &[], &[
    "ElectionTick", "HeartbeatTick", "KeepOldSnapshots", "LogEntriesForSlowFollowers",
    "SnapshotInterval",
], &[]);
static TASK_DEFAULTS: Object = object("TaskDefaults", &[], &[], &[("LogDriver", &DRIVER)]);
static NODE_SPEC: Object = object("NodeSpec", &[], &["Availability", "Labels", "Name", "Role"], &[]);
