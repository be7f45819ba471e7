//! Where results go: places that C names, and structs that say how large they are.
//!
//! A struct that crosses the boundary begins with its size as the program knows it, so that it can grow: an older program
//! is given what it has room for, and a newer one is refused only if it sets what this library does not know.

use boxlite::{Error, ErrorCode, Result};

use crate::input::invalid;

/// A place that can be written.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Checks a place, before any work whose result would have nowhere to go.
    ///
    /// # Safety
    /// `place` is NULL or may be written until the call returns.
    pub unsafe fn new(place: *mut T, name: &str) -> Result<Self> {
        if place.is_null() || !place.is_aligned() {
            return Err(invalid(format!("there is no place for `{name}`")));
        }
        Ok(Out(place))
    }

    /// Writes the result.
    pub fn set(self, value: T) {
        // SAFETY: it is aligned, and may be written, as promised to `new`.
        unsafe { self.0.write(value) }
    }
}

/// A struct with its size first.
///
/// # Safety
/// `repr(C)`; the first field is the `usize` size; every bit pattern, all zeros among them, is a value of the type.
pub(crate) unsafe trait SizedStruct: Copy {
    /// Its size in the first release that had it; it never changes.
    const FIRST_SIZE: usize;
}

/// Reads a struct.
///
/// # Safety
/// `given` is NULL or points to a struct whose first field says how many bytes there are.
pub(crate) unsafe fn read<T: SizedStruct>(given: *const T, name: &str) -> Result<T> {
    // SAFETY: as promised by the caller.
    let size = unsafe { size_of_given(given, name) }?;
    // SAFETY: any bit pattern is a value.
    let mut value: T = unsafe { std::mem::zeroed() };
    let known = size.min(size_of::<T>());
    // SAFETY: as promised by the caller there are `size` bytes; the copy is no longer than either side.
    let beyond = unsafe {
        std::ptr::copy_nonoverlapping(given.cast::<u8>(), (&raw mut value).cast(), known);
        std::slice::from_raw_parts(given.cast::<u8>().add(known), size - known)
    };
    if beyond.iter().any(|byte| *byte != 0) {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!("`{name}` sets fields that this release of the library does not know"),
        ));
    }
    Ok(value)
}

/// A struct that can be filled in.
pub(crate) struct OutStruct<T> {
    place: *mut T,
    size: usize,
}

impl<T: SizedStruct> OutStruct<T> {
    /// Checks a struct.
    ///
    /// # Safety
    /// `place` is NULL or points to a struct whose first field says how many bytes there are, which may be written until
    /// the call returns.
    pub unsafe fn new(place: *mut T, name: &str) -> Result<Self> {
        // SAFETY: as promised by the caller.
        let size = unsafe { size_of_given(place, name) }?;
        Ok(OutStruct { place, size })
    }

    /// Fills in as much as there is room for. The size stays what it was.
    pub fn set(self, value: T) {
        let skipped = size_of::<usize>();
        let count = self.size.min(size_of::<T>()) - skipped;
        // SAFETY: there are `size` bytes that may be written, as promised to `new`; `value` is not shorter than `count`.
        unsafe {
            let from = (&raw const value).cast::<u8>().add(skipped);
            std::ptr::copy_nonoverlapping(from, self.place.cast::<u8>().add(skipped), count);
        }
    }
}

/// # Safety
/// As for [`read`].
unsafe fn size_of_given<T: SizedStruct>(given: *const T, name: &str) -> Result<usize> {
    const { assert!(T::FIRST_SIZE <= size_of::<T>(), "a struct only grows") }
    if given.is_null() || !given.is_aligned() {
        return Err(invalid(format!("`{name}` is no struct")));
    }
    // SAFETY: the size comes first, as promised by the caller.
    let size = unsafe { given.cast::<usize>().read() };
    if !(T::FIRST_SIZE..=64 * 1024).contains(&size) {
        return Err(invalid(format!("`{name}.size` is {size}, but has to be at least {}", T::FIRST_SIZE))
            .hint("set it to `sizeof` of the struct"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Grown {
        size: usize,
        old: u64,
        new: u64,
    }

    // SAFETY: `repr(C)`, size first, numbers only.
    unsafe impl SizedStruct for Grown {
        const FIRST_SIZE: usize = 16;
    }

    fn error<T>(result: Result<T>) -> ErrorCode {
        result.err().unwrap().code()
    }

    #[test]
    fn an_older_program_gets_what_it_has_room_for() {
        let mut place = Grown { size: 16, old: 1, new: 2 };
        // SAFETY: the place is on the stack.
        let out = unsafe { OutStruct::new(&mut place, "place") }.unwrap();
        out.set(Grown { size: 0, old: 3, new: 4 });
        assert_eq!((place.size, place.old, place.new), (16, 3, 2));
        // SAFETY: as above.
        let read = unsafe { read(&place, "place") }.unwrap();
        assert_eq!((read.size, read.old, read.new), (16, 3, 0));
    }

    #[test]
    fn a_newer_program_is_refused_only_for_what_it_sets() {
        let mut place = [0usize; 6];
        place[0] = 48;
        // SAFETY: the place has as many bytes as it says.
        let look = |place: &[usize; 6]| unsafe { read(place.as_ptr().cast::<Grown>(), "place") };
        assert_eq!(look(&place).unwrap().size, 48);
        place[5] = 1;
        assert_eq!(error(look(&place)), ErrorCode::Unsupported);
        place[0] = 8;
        assert_eq!(error(look(&place)), ErrorCode::InvalidArgument);
        place[0] = usize::MAX;
        assert_eq!(error(look(&place)), ErrorCode::InvalidArgument);
    }
}
