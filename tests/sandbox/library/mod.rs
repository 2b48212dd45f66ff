//! The example of the library's documentation, as every lane's user.

mod example;

pub const TESTS: &[(&str, fn())] = &[("library::the_example_of_a_container", the_example)];

fn the_example() {
    example::main().unwrap();
}
