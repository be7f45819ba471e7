//! What a program checks before it trusts the library it was given.

use std::ffi::c_char;
use std::sync::LazyLock;
use std::{ffi::CString, fmt::Write};

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

/// Returns the version of the library and a fingerprint of the header it was built with, as `1.2.3+0123456789abcdef`. The
/// fingerprint is the 64-bit FNV-1a of `boxlite.h`: a binding that carries a copy of the header can tell whether it is the
/// right one.
#[unsafe(no_mangle)]
pub extern "C" fn boxlite_build_id() -> *const c_char {
    static BUILD_ID: LazyLock<CString> = LazyLock::new(|| {
        let mut id = String::from(env!("CARGO_PKG_VERSION"));
        let _ = write!(id, "+{:016x}", fingerprint(include_bytes!("../include/boxlite.h")));
        CString::new(id).unwrap_or_default()
    });
    value(std::ptr::null(), || Ok(BUILD_ID.as_ptr()))
}

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2).
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fingerprint_is_that_of_the_draft() {
        assert_eq!(super::fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
