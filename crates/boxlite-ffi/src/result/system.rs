//! Views of what is known of a whole home.

use super::{boxlite_result, view};
use crate::data::Data;
use crate::error::boxlite_error;
use crate::input::invalid;
use crate::output::SizedStruct;
use crate::status::boxlite_status;
use crate::text::Texts;

/// What a runtime has done since it was opened.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_runtime_counters {
    /// `sizeof(boxlite_runtime_counters)`.
    pub size: usize,
    /// Boxes created.
    pub boxes_created_total: u64,
    /// Creations and starts that failed.
    pub boxes_failed_total: u64,
    /// Boxes of the home that run now, whoever started them.
    pub num_running_boxes: u64,
    /// Commands started.
    pub total_commands_executed: u64,
    /// Commands that could not be started.
    pub total_exec_errors: u64,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_runtime_counters {
    const FIRST_SIZE: usize = 48;
}

/// Disk space of a home, by what it is used for; in bytes as the disk counts them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_usage {
    /// `sizeof(boxlite_usage)`.
    pub size: usize,
    /// Number of distinct images.
    pub images: u64,
    /// Compressed blobs, manifests and configurations.
    pub blob_bytes: u64,
    /// Converted layers and merged filesystems.
    pub layer_bytes: u64,
    /// Unfinished downloads.
    pub partial_bytes: u64,
    /// Number of boxes.
    pub boxes: u64,
    /// Disks and logs of boxes.
    pub box_bytes: u64,
    /// Kernels, warm templates and unpacked helpers.
    pub machine_bytes: u64,
    /// Part of the above that removing all unused images would give back.
    pub reclaimable_bytes: u64,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_usage {
    const FIRST_SIZE: usize = 72;
}

/// Shows what `boxlite_runtime_metrics_of` gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_runtime_metrics(
    result: *const boxlite_result,
    metrics: *mut boxlite_runtime_counters,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let Data::RuntimeMetrics(metrics) = data else {
            return Err(invalid("the result is not the metrics of a runtime"));
        };
        Ok(boxlite_runtime_counters {
            size: 0,
            boxes_created_total: metrics.boxes_created_total,
            boxes_failed_total: metrics.boxes_failed_total,
            num_running_boxes: metrics.num_running_boxes,
            total_commands_executed: metrics.total_commands_executed,
            total_exec_errors: metrics.total_exec_errors,
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, metrics, error, look) }
}

/// Shows what `boxlite_runtime_usage` gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_usage(
    result: *const boxlite_result,
    usage: *mut boxlite_usage,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let Data::Usage(usage) = data else { return Err(invalid("the result is no report of usage")) };
        Ok(boxlite_usage {
            size: 0,
            images: usage.images,
            blob_bytes: usage.blob_bytes,
            layer_bytes: usage.layer_bytes,
            partial_bytes: usage.partial_bytes,
            boxes: usage.boxes,
            box_bytes: usage.box_bytes,
            machine_bytes: usage.machine_bytes,
            reclaimable_bytes: usage.reclaimable_bytes,
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, usage, error, look) }
}
