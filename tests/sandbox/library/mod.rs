//! The library as a program uses it: the example of its documentation, and a registry.

mod example;

use rbuild::{Builder, Setup, Store};

pub const TESTS: &[(&str, fn())] = &[
    ("library::the_example_of_a_container", the_example),
    ("library::an_image_goes_to_a_registry_and_comes_back", there_and_back),
];

fn the_example() {
    example::main().unwrap();
}

fn there_and_back() {
    let Ok(registry) = std::env::var("RBUILD_TEST_REGISTRY") else {
        assert!(std::env::var_os("RBUILD_TEST_ALL").is_none(), "RBUILD_TEST_REGISTRY is not set");
        println!("skipped: needs RBUILD_TEST_REGISTRY");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let [here, elsewhere] =
        ["here", "elsewhere"].map(|name| Store::open(&directory.path().join(name)).unwrap());
    let setup = Setup::default();
    let dockerfile = format!("FROM scratch\nCOPY <<it /\n{}\nit\n", std::process::id());
    let image = Builder::new(&here).dockerfile(&dockerfile).build().unwrap();
    let name = format!("{registry}/library/it:{}", std::process::id()).parse().unwrap();
    let sent = setup.push(&here, &image, &name).unwrap();
    let found = setup.pull(&elsewhere, &name).unwrap();
    assert_eq!(found.descriptor.digest, sent.digest);
    assert_eq!(found.config.rootfs, image.only_image().unwrap().config.rootfs);
    // the same the other way round
    let again = setup.push(&elsewhere, &found.into(), &name).unwrap();
    assert_eq!(again.digest, sent.digest);
}
