//! What a program checks before it trusts the library it was given.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use crate::boundary::value;

/// Version of the interface. It changes when a program compiled against an older header may no longer work.
pub const BOXLITE_ABI_VERSION: u32 = 1;

/// Returns the version of the interface; to be compared with `BOXLITE_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn boxlite_abi_version() -> u32 {
    BOXLITE_ABI_VERSION
}

/// Returns the version of the library, as `1.2.3`.
#[unsafe(no_mangle)]
pub extern "C" fn boxlite_version() -> *const c_char {
    const VERSION: &std::ffi::CStr =
        match std::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no NUL"),
        };
    VERSION.as_ptr()
}

/// Returns the version of the library and a fingerprint of the header it was built with, as `1.2.3+0123456789abcdef`; to be
/// compared with `BOXLITE_BUILD_ID` by a binding that is released together with the library. The fingerprint is the 64-bit
/// FNV-1a of `boxlite.h` before that macro has its value.
#[unsafe(no_mangle)]
pub extern "C" fn boxlite_build_id() -> *const c_char {
    static BUILD_ID: LazyLock<CString> = LazyLock::new(|| {
        let define = include_str!("../include/boxlite.h").split_once("#define BOXLITE_BUILD_ID \"");
        let id = define.and_then(|(_, rest)| rest.split('"').next());
        CString::new(id.unwrap_or_default()).unwrap_or_default()
    });
    value(std::ptr::null(), || Ok(BUILD_ID.as_ptr()))
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    #[test]
    fn a_build_is_its_version_and_its_header() {
        // SAFETY: it is text that lives as long as the library.
        let [version, build] = [super::boxlite_version(), super::boxlite_build_id()]
            .map(|text| unsafe { CStr::from_ptr(text) }.to_str().unwrap());
        let fingerprint = build.strip_prefix(version).and_then(|rest| rest.strip_prefix('+')).unwrap();
        assert!(fingerprint.len() == 16 && u64::from_str_radix(fingerprint, 16).is_ok(), "{build}");
    }
}
