//! Text that C reads: NUL-terminated, owned by the object it belongs to, at an address that stays.

use std::collections::HashSet;
use std::ffi::{CString, c_char};
use std::sync::Mutex;

/// The texts that were asked of one object, each kept once, until the object goes.
#[derive(Default)]
pub(crate) struct Texts(Mutex<HashSet<CString>>);

impl Texts {
    /// Returns where a text lies. One with a NUL in it ends there for C; it is whole in the JSON.
    pub fn keep(&self, text: &str) -> *const c_char {
        let bytes = text.as_bytes().split(|byte| *byte == 0).next().unwrap_or_default();
        let text = CString::new(bytes).expect("it was cut at its first NUL");
        let mut kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = kept.get(&text) {
            return known.as_ptr();
        }
        // The bytes are on the heap: they stay when the set moves its elements.
        let address = text.as_ptr();
        kept.insert(text);
        address
    }

    /// Returns where a text lies, or NULL if there is none.
    pub fn keep_optional(&self, text: Option<&str>) -> *const c_char {
        text.map_or(std::ptr::null(), |text| self.keep(text))
    }
}

/// Writes JSON for C; it holds no NUL, since JSON has an escape for that.
pub(crate) fn json(value: &serde_json::Value) -> CString {
    CString::new(value.to_string()).expect("JSON escapes NUL")
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn texts_stay_where_they_are_and_end_at_a_nul() {
        let texts = Texts::default();
        let first = texts.keep("first");
        for number in 0..1000 {
            texts.keep(&number.to_string());
        }
        assert_eq!(texts.keep("first"), first);
        // SAFETY: both belong to `texts`, which is alive.
        let read = |text| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
        assert_eq!(read(first), "first");
        assert_eq!(read(texts.keep("a\0b")), "a");
    }
}
