//! A panic in a stage: a fault of ours, and an error like any other for those who wait for the stage.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Error;

/// What `work` on the stage `index` comes to; [`Error::Panic`] where it panics.
pub(super) fn caught<T>(index: usize, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // What stages share is behind locks whose holders leave it whole; the build ends in any case.
    let worked = catch_unwind(AssertUnwindSafe(work));
    worked.unwrap_or_else(|panic| Err(Error::Panic { stage: index + 1, message: message(&*panic) }))
}

/// What `panic!` was given, where that is text.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_anything_else_is_itself() {
        assert_eq!(caught(0, || Ok(7)).unwrap(), 7);
        let said = caught::<()>(0, || Err(Error::NoTarget("x".to_owned()))).unwrap_err().to_string();
        assert!(said.contains("\"x\""), "{said}");
        for (panics, want) in [
            (Box::new("words") as Box<dyn Any + Send>, "words"),
            (Box::new("number 3".to_owned()), "number 3"),
            (Box::new(3), "a value that is no text"),
        ] {
            let panics = || -> Result<(), Error> { std::panic::resume_unwind(panics) };
            let said = caught(1, panics).unwrap_err().to_string();
            assert_eq!(said, format!("internal error in stage 2: {want}"));
        }
    }
}
