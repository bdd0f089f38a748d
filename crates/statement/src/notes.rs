//! What others have found out about a text, kept with it.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

/// One value of each type that was asked for. They are never taken away, so that looking for one
/// takes no lock.
#[derive(Default)]
pub struct Notes(OnceLock<Box<Note>>);

struct Note {
    value: Box<dyn Any + Send + Sync>,
    next: Notes,
}

impl Notes {
    /// The value of this type, made when it is asked for first.
    pub fn of<T: Any + Default + Send + Sync>(&self) -> &T {
        let mut place = self;
        loop {
            let new = || Box::new(Note { value: Box::new(T::default()), next: Self::default() });
            let note = place.0.get_or_init(new);
            if let Some(found) = note.value.downcast_ref() {
                return found;
            }
            place = &note.next;
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_type_has_its_value() {
        let notes = Notes::default();
        *notes.of::<Mutex<u8>>().lock().unwrap() = 1;
        notes.of::<Mutex<String>>().lock().unwrap().push('a');
        *notes.of::<Mutex<u8>>().lock().unwrap() += 1;
        notes.of::<Mutex<String>>().lock().unwrap().push('b');
        assert_eq!(*notes.of::<Mutex<u8>>().lock().unwrap(), 2);
        assert_eq!(*notes.of::<Mutex<String>>().lock().unwrap(), "ab");
        assert_eq!(*notes.of::<Mutex<u16>>().lock().unwrap(), 0);
    }
}
