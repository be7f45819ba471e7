//! The table behind every handle: what a C pointer is looked up in.
//!
//! A handle is a number in the shape of a pointer, never an address: kind, lineage of the process, generation, place in the
//! table. Its first byte is 1 to 127, so that no processor takes it for an address, and whoever dereferences one by mistake
//! gets a fault at that line. A place that is freed moves to its next generation, so a number is never given out twice:
//! what was freed, what never existed and what is of another kind are told from what is alive by comparison alone.
//!
//! A place is one short lock; finding it takes none, since segments of the table never move.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

const _: () = assert!(size_of::<usize>() == 8, "a handle needs 64 bits");

const PLACE_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
const LINEAGE_BITS: u32 = 8;

/// Handles that may be alive at a time.
const PLACES: usize = 1 << PLACE_BITS;

/// Places in the first segment; each one after it is twice as large.
const FIRST_SEGMENT: usize = 64;

/// Segments that hold all places: `64 * (2^18 - 1)`.
const SEGMENTS: usize = 18;

/// The value a handle has in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(pub usize);

/// The parts of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    kind: u8,
    lineage: u8,
    generation: u32,
    place: usize,
}

impl Token {
    fn new(parts: Parts) -> Self {
        let generation = (parts.generation as usize) << PLACE_BITS;
        let lineage = (parts.lineage as usize) << (PLACE_BITS + GENERATION_BITS);
        let kind = (parts.kind as usize) << (PLACE_BITS + GENERATION_BITS + LINEAGE_BITS);
        Token(kind | lineage | generation | parts.place)
    }

    fn parts(self) -> Parts {
        let bits = |shift: u32, count: u32| self.0 >> shift & ((1 << count) - 1);
        Parts {
            kind: bits(PLACE_BITS + GENERATION_BITS + LINEAGE_BITS, 8) as u8,
            lineage: bits(PLACE_BITS + GENERATION_BITS, LINEAGE_BITS) as u8,
            generation: bits(PLACE_BITS, GENERATION_BITS) as u32,
            place: bits(0, PLACE_BITS),
        }
    }
}

/// What an object behind a handle looks like to the table.
pub(crate) type Object = Arc<dyn Any + Send + Sync>;

/// Why a token names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It was freed, is of another kind, or never existed.
    Invalid,
    /// It was made by the process this one was forked from.
    OfParent,
}

struct Place {
    kind: u8,
    generation: u32,
    object: Option<Object>,
}

/// All handles of a process.
pub(crate) struct Table {
    lineage: u8,
    segments: [OnceLock<Box<[Mutex<Place>]>>; SEGMENTS],
    free: Mutex<Free>,
}

struct Free {
    places: Vec<usize>,
    unused: usize,
}

impl Table {
    /// Makes the table of a process that is `lineage` forks away from the first one; counted from 1.
    pub fn new(lineage: u8) -> Self {
        Table {
            lineage,
            segments: [const { OnceLock::new() }; SEGMENTS],
            free: Mutex::new(Free { places: Vec::new(), unused: 0 }),
        }
    }

    /// Returns how many forks away from the first process this one is, counted from 1.
    pub fn lineage(&self) -> u8 {
        self.lineage
    }

    /// Gives an object a handle; `None` if the table is full.
    pub fn insert(&self, kind: u8, object: Object) -> Option<Token> {
        let index = {
            let mut free = lock(&self.free);
            match free.places.pop() {
                Some(index) => index,
                None if free.unused < PLACES.min(FIRST_SEGMENT * ((1 << SEGMENTS) - 1)) => {
                    free.unused += 1;
                    free.unused - 1
                }
                None => return None,
            }
        };
        let mut place = lock(self.make_place(index));
        place.kind = kind;
        place.object = Some(object);
        let generation = place.generation;
        Some(Token::new(Parts { kind, lineage: self.lineage, generation, place: index }))
    }

    /// Finds the object of a handle.
    pub fn get(&self, kind: u8, token: Token) -> Result<Object, Missing> {
        self.at(kind, token, |place| place.object.clone())
    }

    /// Takes the object of a handle away; the handle is stale from then on.
    pub fn remove(&self, kind: u8, token: Token) -> Result<Object, Missing> {
        let (object, again) = self.at(kind, token, |place| {
            let object = place.object.take()?;
            place.generation += 1;
            // A place whose generations are used up is never given out again.
            Some((object, place.generation >> GENERATION_BITS == 0))
        })?;
        if again {
            lock(&self.free).places.push(token.parts().place);
        }
        Ok(object)
    }

    fn at<T>(&self, kind: u8, token: Token, act: impl FnOnce(&mut Place) -> Option<T>) -> Result<T, Missing> {
        let parts = token.parts();
        if parts.kind != kind {
            return Err(Missing::Invalid);
        }
        if parts.lineage != self.lineage {
            let elder = parts.lineage > 0 && parts.lineage < self.lineage;
            return Err(if elder { Missing::OfParent } else { Missing::Invalid });
        }
        let (segment, offset) = locate(parts.place);
        let places = self.segments.get(segment).and_then(OnceLock::get).ok_or(Missing::Invalid)?;
        let mut place = lock(&places[offset]);
        if place.kind != kind || place.generation != parts.generation {
            return Err(Missing::Invalid);
        }
        act(&mut place).ok_or(Missing::Invalid)
    }

    fn make_place(&self, index: usize) -> &Mutex<Place> {
        let (segment, offset) = locate(index);
        let places = self.segments[segment].get_or_init(|| {
            let place = |_| Mutex::new(Place { kind: 0, generation: 1, object: None });
            (0..FIRST_SEGMENT << segment).map(place).collect()
        });
        &places[offset]
    }
}

/// Returns the segment that holds a place, and where in it.
fn locate(place: usize) -> (usize, usize) {
    let segment = (place / FIRST_SEGMENT + 1).ilog2() as usize;
    (segment, place - FIRST_SEGMENT * ((1 << segment) - 1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_segment_and_segments_follow_each_other() {
        let mut expected = (0, 0);
        for place in 0..FIRST_SEGMENT * 31 {
            assert_eq!(locate(place), expected, "{place}");
            expected.1 += 1;
            if expected.1 == FIRST_SEGMENT << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(locate(FIRST_SEGMENT * ((1 << SEGMENTS) - 1) - 1).0, SEGMENTS - 1);
    }

    #[test]
    fn a_number_is_never_given_out_twice() {
        let table = Table::new(1);
        let mut seen = std::collections::HashSet::new();
        for round in 0..1000 {
            let token = table.insert(1, Arc::new(round)).unwrap();
            assert!(seen.insert(token.0));
            table.remove(1, token).unwrap();
            assert_eq!(table.get(1, token).unwrap_err(), Missing::Invalid);
            assert_eq!(table.remove(1, token).unwrap_err(), Missing::Invalid);
        }
    }

    #[test]
    fn a_place_is_retired_before_its_generations_begin_again() {
        let table = Table::new(1);
        let first = table.insert(1, Arc::new(())).unwrap();
        let parts = first.parts();
        lock(table.make_place(parts.place)).generation = (1 << GENERATION_BITS) - 1;
        let last = Token::new(Parts { generation: (1 << GENERATION_BITS) - 1, ..parts });
        table.remove(1, last).unwrap();
        assert_ne!(table.insert(1, Arc::new(())).unwrap().parts().place, parts.place);
    }

    #[test]
    fn kinds_and_generations_are_told_apart_and_garbage_is_refused() {
        let table = Table::new(1);
        let token = table.insert(3, Arc::new(7)).unwrap();
        assert_eq!(*table.get(3, token).unwrap().downcast::<i32>().unwrap(), 7);
        assert_eq!(table.get(4, token).unwrap_err(), Missing::Invalid);
        let other_kind = Token::new(Parts { kind: 4, ..token.parts() });
        assert_eq!(table.get(4, other_kind).unwrap_err(), Missing::Invalid);
        for bit in 0..64 {
            assert_eq!(table.get(3, Token(token.0 ^ (1 << bit))).unwrap_err(), Missing::Invalid, "{bit}");
        }
        for garbage in [0, 1, usize::MAX, &token as *const Token as usize] {
            assert_eq!(table.get(3, Token(garbage)).unwrap_err(), Missing::Invalid, "{garbage:x}");
        }
    }

    #[test]
    fn a_child_knows_the_handles_of_its_parent_and_no_others() {
        let parent = Table::new(1);
        let child = Table::new(2);
        let token = parent.insert(1, Arc::new(())).unwrap();
        assert_eq!(child.get(1, token).unwrap_err(), Missing::OfParent);
        assert_eq!(child.get(2, token).unwrap_err(), Missing::Invalid);
        let own = child.insert(1, Arc::new(())).unwrap();
        assert_eq!(parent.get(1, own).unwrap_err(), Missing::Invalid);
    }
}
