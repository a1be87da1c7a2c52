//! The options of `docker run` and `docker create`, and of `docker update`.

use super::attached::{device, exposing, gpus, mount, networked, published, security};
use super::options::Kind::{File, Flag, Many, Map, One};
use super::options::To::{Body, Own, Query};
use super::options::{Opt, opt};
use super::values::{
    Parsed, address, alone, bytes, count_device, device_rule, duration, host, host_mode, mac,
    mount_point, number, pair, process_mode, processors, rate_device, restart, setting,
    shell_check, swap, swappiness, text, ulimit, variable, weight_device,
};

fn stream(text: &str) -> Parsed {
    match text.to_lowercase().as_str() {
        name @ ("stdin" | "stdout" | "stderr") => Ok(name.into()),
        _ => Err("write stdin, stdout or stderr".into()),
    }
}

fn volume(volume: &str) -> Parsed {
    if volume.is_empty() {
        return Err("write SOURCE:PATH".into());
    }
    text(volume)
}

/// The options of a new container.
#[rustfmt::skip]
pub const CONTAINER: &[Opt] = &[
    opt("privileged",            "",   Flag,                 Body("HostConfig.Privileged")),
    opt("read-only",             "",   Flag,                 Body("HostConfig.ReadonlyRootfs")),
    opt("publish-all",           "P",  Flag,                 Body("HostConfig.PublishAllPorts")),
    opt("init",                  "",   Flag,                 Body("HostConfig.Init")),
    opt("oom-kill-disable",      "",   Flag,                 Body("HostConfig.OomKillDisable")),
    opt("rm",                    "",   Flag,                 Body("HostConfig.AutoRemove")),
    opt("tty",                   "t",  Flag,                 Body("Tty")),
    opt("interactive",           "i",  Flag,                 Body("OpenStdin")),
    opt("hostname",              "h",  One(text),            Body("Hostname")),
    opt("domainname",            "",   One(text),            Body("Domainname")),
    opt("user",                  "u",  One(text),            Body("User")),
    opt("workdir",               "w",  One(text),            Body("WorkingDir")),
    opt("entrypoint",            "",   One(alone),           Body("Entrypoint")),
    opt("env",                   "e",  Many(variable),       Body("Env")),
    opt("label",                 "l",  Map(pair),            Body("Labels")),
    opt("stop-signal",           "",   One(text),            Body("StopSignal")),
    opt("stop-timeout",          "",   One(number),          Body("StopTimeout")),
    opt("mac-address",           "",   One(mac),             Body("MacAddress")),
    opt("health-cmd",            "",   One(shell_check),     Body("Healthcheck.Test")),
    opt("health-interval",       "",   One(duration),        Body("Healthcheck.Interval")),
    opt("health-timeout",        "",   One(duration),        Body("Healthcheck.Timeout")),
    opt("health-start-period",   "",   One(duration),        Body("Healthcheck.StartPeriod")),
    opt("health-start-interval", "",   One(duration),        Body("Healthcheck.StartInterval")),
    opt("health-retries",        "",   One(number),          Body("Healthcheck.Retries")),
    opt("add-host",              "",   Many(host),           Body("HostConfig.ExtraHosts")),
    opt("annotation",            "",   Map(setting),         Body("HostConfig.Annotations")),
    opt("blkio-weight",          "",   One(number),          Body("HostConfig.BlkioWeight")),
    opt("blkio-weight-device",   "",   Many(weight_device),  Body("HostConfig.BlkioWeightDevice")),
    opt("cap-add",               "",   Many(text),           Body("HostConfig.CapAdd")),
    opt("cap-drop",              "",   Many(text),           Body("HostConfig.CapDrop")),
    opt("cgroup-parent",         "",   One(text),            Body("HostConfig.CgroupParent")),
    opt("cgroupns",              "",   One(text),            Body("HostConfig.CgroupnsMode")),
    opt("cidfile",               "",   One(text),            Body("HostConfig.ContainerIDFile")),
    opt("cpu-count",             "",   One(number),          Body("HostConfig.CpuCount")),
    opt("cpu-percent",           "",   One(number),          Body("HostConfig.CpuPercent")),
    opt("cpu-period",            "",   One(number),          Body("HostConfig.CpuPeriod")),
    opt("cpu-quota",             "",   One(number),          Body("HostConfig.CpuQuota")),
    opt("cpu-rt-period",         "",   One(number),          Body("HostConfig.CpuRealtimePeriod")),
    opt("cpu-rt-runtime",        "",   One(number),          Body("HostConfig.CpuRealtimeRuntime")),
    opt("cpu-shares",            "c",  One(number),          Body("HostConfig.CpuShares")),
    opt("cpus",                  "",   One(processors),      Body("HostConfig.NanoCpus")),
    opt("cpuset-cpus",           "",   One(text),            Body("HostConfig.CpusetCpus")),
    opt("cpuset-mems",           "",   One(text),            Body("HostConfig.CpusetMems")),
    opt("device",                "",   Many(device),         Body("HostConfig.Devices")),
    opt("device-cgroup-rule",    "",   Many(device_rule),    Body("HostConfig.DeviceCgroupRules")),
    opt("device-read-bps",       "",   Many(rate_device),    Body("HostConfig.BlkioDeviceReadBps")),
    opt("device-write-bps",      "",   Many(rate_device),    Body("HostConfig.BlkioDeviceWriteBps")),
    opt("device-read-iops",      "",   Many(count_device),   Body("HostConfig.BlkioDeviceReadIOps")),
    opt("device-write-iops",     "",   Many(count_device),   Body("HostConfig.BlkioDeviceWriteIOps")),
    opt("gpus",                  "",   Many(gpus),           Body("HostConfig.DeviceRequests")),
    opt("group-add",             "",   Many(text),           Body("HostConfig.GroupAdd")),
    opt("dns",                   "",   Many(address),        Body("HostConfig.Dns")),
    opt("dns-option",            "",   Many(text),           Body("HostConfig.DnsOptions")),
    opt("dns-opt",               "",   Many(text),           Body("HostConfig.DnsOptions")),
    opt("dns-search",            "",   Many(text),           Body("HostConfig.DnsSearch")),
    opt("io-maxbandwidth",       "",   One(bytes),           Body("HostConfig.IOMaximumBandwidth")),
    opt("io-maxiops",            "",   One(number),          Body("HostConfig.IOMaximumIOps")),
    opt("ipc",                   "",   One(text),            Body("HostConfig.IpcMode")),
    opt("isolation",             "",   One(text),            Body("HostConfig.Isolation")),
    opt("kernel-memory",         "",   One(bytes),           Body("HostConfig.KernelMemory")),
    opt("link",                  "",   Many(text),           Body("HostConfig.Links")),
    opt("log-driver",            "",   One(text),            Body("HostConfig.LogConfig.Type")),
    opt("log-opt",               "",   Map(pair),            Body("HostConfig.LogConfig.Config")),
    opt("memory",                "m",  One(bytes),           Body("HostConfig.Memory")),
    opt("memory-reservation",    "",   One(bytes),           Body("HostConfig.MemoryReservation")),
    opt("memory-swap",           "",   One(swap),            Body("HostConfig.MemorySwap")),
    opt("memory-swappiness",     "",   One(swappiness),      Body("HostConfig.MemorySwappiness")),
    opt("mount",                 "",   Many(mount),          Body("HostConfig.Mounts")),
    opt("oom-score-adj",         "",   One(number),          Body("HostConfig.OomScoreAdj")),
    opt("pid",                   "",   One(process_mode),    Body("HostConfig.PidMode")),
    opt("pids-limit",            "",   One(number),          Body("HostConfig.PidsLimit")),
    opt("restart",               "",   One(restart),         Body("HostConfig.RestartPolicy")),
    opt("runtime",               "",   One(text),            Body("HostConfig.Runtime")),
    opt("shm-size",              "",   One(bytes),           Body("HostConfig.ShmSize")),
    opt("storage-opt",           "",   Map(setting),         Body("HostConfig.StorageOpt")),
    opt("sysctl",                "",   Map(setting),         Body("HostConfig.Sysctls")),
    opt("tmpfs",                 "",   Map(mount_point),     Body("HostConfig.Tmpfs")),
    opt("ulimit",                "",   Many(ulimit),         Body("HostConfig.Ulimits")),
    opt("userns",                "",   One(host_mode),       Body("HostConfig.UsernsMode")),
    opt("uts",                   "",   One(host_mode),       Body("HostConfig.UTSMode")),
    opt("volume-driver",         "",   One(text),            Body("HostConfig.VolumeDriver")),
    opt("volumes-from",          "",   Many(text),           Body("HostConfig.VolumesFrom")),
    opt("name",                  "",   One(text),            Query("name")),
    opt("platform",              "",   One(text),            Query("platform")),
    opt("attach",                "a",  Many(stream),         Own),
    opt("expose",                "",   Many(exposing),       Own),
    opt("publish",               "p",  Many(published),      Own),
    opt("volume",                "v",  Many(volume),         Own),
    opt("network",               "",   Many(networked),      Own),
    opt("net",                   "",   Many(networked),      Own),
    opt("network-alias",         "",   Many(text),           Own),
    opt("net-alias",             "",   Many(text),           Own),
    opt("ip",                    "",   One(address),         Own),
    opt("ip6",                   "",   One(address),         Own),
    opt("link-local-ip",         "",   Many(address),        Own),
    opt("no-healthcheck",        "",   Flag,                 Own),
    opt("security-opt",          "",   Many(security),       Own),
    opt("pull",                  "",   One(text),            Own),
    opt("quiet",                 "q",  Flag,                 Own),
    opt("disable-content-trust", "",   Flag,                 Own),
    opt("env-file",              "",   File,                 Own),
    opt("label-file",            "",   File,                 Own),
];

/// The options that only `docker run` has.
#[rustfmt::skip]
pub const RUN: &[Opt] = &[
    opt("detach",                "d",  Flag,                 Own),
    opt("detach-keys",           "",   One(text),            Own),
    opt("sig-proxy",             "",   Flag,                 Own),
];

/// The options of `docker update`.
#[rustfmt::skip]
pub const UPDATE: &[Opt] = &[
    opt("blkio-weight",          "",   One(number),          Body("BlkioWeight")),
    opt("cpu-period",            "",   One(number),          Body("CpuPeriod")),
    opt("cpu-quota",             "",   One(number),          Body("CpuQuota")),
    opt("cpu-rt-period",         "",   One(number),          Body("CpuRealtimePeriod")),
    opt("cpu-rt-runtime",        "",   One(number),          Body("CpuRealtimeRuntime")),
    opt("cpu-shares",            "c",  One(number),          Body("CpuShares")),
    opt("cpus",                  "",   One(processors),      Body("NanoCpus")),
    opt("cpuset-cpus",           "",   One(text),            Body("CpusetCpus")),
    opt("cpuset-mems",           "",   One(text),            Body("CpusetMems")),
    opt("kernel-memory",         "",   One(bytes),           Body("KernelMemory")),
    opt("memory",                "m",  One(bytes),           Body("Memory")),
    opt("memory-reservation",    "",   One(bytes),           Body("MemoryReservation")),
    opt("memory-swap",           "",   One(swap),            Body("MemorySwap")),
    opt("pids-limit",            "",   One(number),          Body("PidsLimit")),
    opt("restart",               "",   One(restart),         Body("RestartPolicy")),
];
