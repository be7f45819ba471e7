//! Views of what commands leave behind: how they ended, what they printed, and what is at a path.

use std::ffi::c_char;

use boxlite::{ExitStatus, LogSource};

use super::{boxlite_result, view};
use crate::data::Data;
use crate::error::boxlite_error;
use crate::input::invalid;
use crate::output::SizedStruct;
use crate::status::boxlite_status;
use crate::text::Texts;

/// How a command ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_exit_status {
    /// `sizeof(boxlite_exit_status)`.
    pub size: usize,
    /// Exit code; -1 if it did not exit by itself.
    pub code: i32,
    /// Signal that ended it otherwise; 0 if none did.
    pub signal: i32,
    /// The one number a shell would give: the exit code, or 128 + the signal.
    pub shell_code: i32,
    /// 1 if the kernel killed it, or a process below it, for lack of memory; 0 if not.
    pub oom_killed: u32,
    /// 1 if its timeout ended it; 0 if not.
    pub timed_out: u32,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_exit_status {
    const FIRST_SIZE: usize = 32;
}

/// Everything a command printed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_output {
    /// `sizeof(boxlite_output)`.
    pub size: usize,
    /// Bytes of stdout, or of the terminal; they live until the result is freed.
    pub stdout_bytes: *const u8,
    /// Number of them.
    pub stdout_length: usize,
    /// Bytes of stderr.
    pub stderr_bytes: *const u8,
    /// Number of them.
    pub stderr_length: usize,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_output {
    const FIRST_SIZE: usize = 40;
}

/// A piece of a log. Pieces end where the command's writes did, not at lines.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_log_entry {
    /// `sizeof(boxlite_log_entry)`.
    pub size: usize,
    /// What was printed; it lives until the result is freed.
    pub bytes: *const u8,
    /// Number of bytes.
    pub length: usize,
    /// When, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// 1 for stdout or a terminal, 2 for stderr.
    pub source: u32,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_log_entry {
    const FIRST_SIZE: usize = 40;
}

/// What is at a path.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_file_stat {
    /// `sizeof(boxlite_file_stat)`.
    pub size: usize,
    /// Target of a symbolic link; NULL for everything else.
    pub link_target: *const c_char,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// Modification time in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_file_stat {
    const FIRST_SIZE: usize = 48;
}

/// Shows how a command, or a box, ended: of `boxlite_execution_wait`, `boxlite_execution_output` and `boxlite_box_wait`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_exit_status(
    result: *const boxlite_result,
    status: *mut boxlite_exit_status,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let status = match data {
            Data::ExitStatus(status) => *status,
            Data::Output(output) => output.status,
            Data::ExitCode(code) => ExitStatus::exited(*code),
            _ => return Err(invalid("the result is not the end of a command")),
        };
        Ok(boxlite_exit_status {
            size: 0,
            code: status.code.unwrap_or(-1),
            signal: status.signal.unwrap_or(0),
            shell_code: status.shell_code(),
            oom_killed: status.oom_killed.into(),
            timed_out: status.timed_out.into(),
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, status, error, look) }
}

/// Shows what `boxlite_execution_output` collected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_output(
    result: *const boxlite_result,
    output: *mut boxlite_output,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let Data::Output(output) = data else {
            return Err(invalid("the result is not the output of a command"));
        };
        Ok(boxlite_output {
            size: 0,
            stdout_bytes: output.stdout.as_ptr(),
            stdout_length: output.stdout.len(),
            stderr_bytes: output.stderr.as_ptr(),
            stderr_length: output.stderr.len(),
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, output, error, look) }
}

/// Shows what `boxlite_logs_next` gave. After the last entry there is none: see `boxlite_result_count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_log_entry(
    result: *const boxlite_result,
    entry: *mut boxlite_log_entry,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let Data::LogEntry(Some(entry)) = data else { return Err(invalid("the result is no log entry")) };
        Ok(boxlite_log_entry {
            size: 0,
            bytes: entry.bytes.as_ptr(),
            length: entry.bytes.len(),
            at_ns: entry.at_ns,
            source: match entry.source {
                LogSource::Stdout => 1,
                LogSource::Stderr => 2,
            },
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, entry, error, look) }
}

/// Shows what `boxlite_box_stat` gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_file_stat(
    result: *const boxlite_result,
    stat: *mut boxlite_file_stat,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, texts: &Texts| {
        let Data::FileStat(stat) = data else { return Err(invalid("the result is not about a file")) };
        let target = stat.link_target.as_deref().map(String::from_utf8_lossy);
        Ok(boxlite_file_stat {
            size: 0,
            link_target: texts.keep_optional(target.as_deref()),
            size_bytes: stat.size_bytes,
            modified_ns: stat.modified_ns,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, stat, error, look) }
}
