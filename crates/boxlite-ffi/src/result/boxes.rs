//! Views of boxes.

use std::ffi::c_char;

use boxlite::{BoxInfo, BoxState};

use super::{boxlite_result, view};
use crate::data::Data;
use crate::error::boxlite_error;
use crate::input::invalid;
use crate::output::SizedStruct;
use crate::status::boxlite_status;
use crate::text::Texts;

/// What a box is doing.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum boxlite_box_state {
    /// Made, never started.
    BOXLITE_BOX_CREATED = 0,
    /// Being started.
    BOXLITE_BOX_STARTING = 1,
    /// Running.
    BOXLITE_BOX_RUNNING = 2,
    /// Being stopped.
    BOXLITE_BOX_STOPPING = 3,
    /// Stopped; its disk is kept and it can be started again.
    BOXLITE_BOX_STOPPED = 4,
}

impl From<BoxState> for boxlite_box_state {
    fn from(state: BoxState) -> Self {
        match state {
            BoxState::Created => boxlite_box_state::BOXLITE_BOX_CREATED,
            BoxState::Starting => boxlite_box_state::BOXLITE_BOX_STARTING,
            BoxState::Running => boxlite_box_state::BOXLITE_BOX_RUNNING,
            BoxState::Stopping => boxlite_box_state::BOXLITE_BOX_STOPPING,
            BoxState::Stopped => boxlite_box_state::BOXLITE_BOX_STOPPED,
        }
    }
}

/// One box. Times are seconds since the Unix epoch, 0 if it never happened. How it was asked for is in the JSON.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_box_info {
    /// `sizeof(boxlite_box_info)`.
    pub size: usize,
    /// Id.
    pub id: *const c_char,
    /// Name; NULL if it was given none.
    pub name: *const c_char,
    /// Full reference of its image.
    pub image: *const c_char,
    /// Manifest digest of its image.
    pub image_id: *const c_char,
    /// While it runs, what runs its guest, as `kvm` or `tcg`; NULL otherwise.
    pub accelerator: *const c_char,
    /// While it runs, the release of its guest's kernel; NULL otherwise.
    pub kernel: *const c_char,
    /// When it was created.
    pub created_at: i64,
    /// When it was last started.
    pub started_at: i64,
    /// When it last stopped.
    pub stopped_at: i64,
    /// What it is doing: a `boxlite_box_state`.
    pub state: u32,
    /// Process id of its shim, while it runs; 0 otherwise.
    pub pid: u32,
    /// Exit code after it last stopped; -1 if there is none.
    pub exit_code: i32,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_box_info {
    const FIRST_SIZE: usize = 96;
}

/// What a running box uses at this moment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_box_usage {
    /// `sizeof(boxlite_box_usage)`.
    pub size: usize,
    /// Processor time used by the guest since it started, in microseconds.
    pub cpu_usec: u64,
    /// Memory in use inside, without caches, in bytes.
    pub memory_used_bytes: u64,
    /// Memory the guest has, in bytes.
    pub memory_total_bytes: u64,
    /// Bytes of the writable disk in use.
    pub disk_used_bytes: u64,
    /// Size of the writable disk in bytes.
    pub disk_total_bytes: u64,
    /// Processes inside, the agent included.
    pub processes: u64,
    /// Seconds since the box was started.
    pub uptime_secs: u64,
    /// Proportional share of host memory taken by its machine, in bytes.
    pub host_memory_bytes: u64,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_box_usage {
    const FIRST_SIZE: usize = 72;
}

/// Shows one box: of a list by its index, from 0 to `boxlite_result_count`; of `boxlite_box_inspect` the only one, at 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_box(
    result: *const boxlite_result,
    index: usize,
    r#box: *mut boxlite_box_info,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, texts: &Texts| {
        let info = match data {
            Data::Boxes(boxes) => boxes.get(index),
            Data::Box(info) if index == 0 => Some(&**info),
            _ => None,
        };
        Ok(describe(info.ok_or_else(|| invalid(format!("the result has no box {index}")))?, texts))
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, r#box, error, look) }
}

fn describe(info: &BoxInfo, texts: &Texts) -> boxlite_box_info {
    let isolation = info.isolation.as_ref();
    boxlite_box_info {
        size: 0,
        id: texts.keep(info.id.as_str()),
        name: texts.keep_optional(info.name.as_deref()),
        image: texts.keep(&info.image),
        image_id: texts.keep(&info.image_id.to_string()),
        accelerator: texts.keep_optional(isolation.map(|isolation| isolation.accelerator.as_str())),
        kernel: texts.keep_optional(isolation.map(|isolation| isolation.kernel.as_str())),
        created_at: info.created_at,
        started_at: info.started_at.unwrap_or_default(),
        stopped_at: info.stopped_at.unwrap_or_default(),
        state: boxlite_box_state::from(info.state) as u32,
        pid: info.pid.unwrap_or_default(),
        exit_code: info.exit_code.unwrap_or(-1),
    }
}

/// Shows what `boxlite_box_metrics` gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_box_usage(
    result: *const boxlite_result,
    usage: *mut boxlite_box_usage,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let Data::BoxMetrics(metrics) = data else {
            return Err(invalid("the result is not the metrics of a box"));
        };
        Ok(boxlite_box_usage {
            size: 0,
            cpu_usec: metrics.cpu_usec,
            memory_used_bytes: metrics.memory_used_bytes,
            memory_total_bytes: metrics.memory_total_bytes,
            disk_used_bytes: metrics.disk_used_bytes,
            disk_total_bytes: metrics.disk_total_bytes,
            processes: metrics.processes,
            uptime_secs: metrics.uptime_secs,
            host_memory_bytes: metrics.host_memory_bytes,
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, usage, error, look) }
}
