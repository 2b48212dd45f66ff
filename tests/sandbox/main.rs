//! The sandbox, used as any program that embeds the library uses it: `main` calls [`rbuild::init`] first.
//!
//! Runs as root and as an ordinary user; what the account or machine cannot do is skipped and says why. Arguments select
//! tests by a part of their name, which is `driver::test`.

mod attributes;
mod bench;
mod build;
mod confined;
mod end;
mod escapes;
mod harness;
mod identity;
mod library;
mod process;
mod root;
mod table;

use std::process::ExitCode;

use harness::Test;
use rbuild::runtime::RootfsChoice;

const DRIVERS: [(&str, RootfsChoice); 3] =
    [("kernel", RootfsChoice::Kernel), ("fuse", RootfsChoice::Fuse), ("plain", RootfsChoice::Plain)];

fn main() -> ExitCode {
    rbuild::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, dir, script] = &arguments[..]
        && role == end::COORDINATOR
    {
        end::coordinate(dir.as_ref(), script);
    }
    if arguments == [escapes::REOPENED] {
        escapes::reopen();
    }
    if let [role, on @ ..] = &arguments[..]
        && role == table::PERFORMER
    {
        table::perform(on);
        return ExitCode::SUCCESS;
    }
    let rows = [
        build::TESTS,
        process::TESTS,
        root::TESTS,
        attributes::TESTS,
        confined::TESTS,
        end::TESTS,
        escapes::TESTS,
    ]
    .concat();
    let on_driver = |(driver, choice): (&'static str, RootfsChoice)| {
        rows.clone().into_iter().map(move |(name, test)| Test {
            name: format!("{driver}::{name}"),
            run: Box::new(move || bench::on(choice, &test)),
        })
    };
    let recorded = identity::TESTS.iter().chain(attributes::RECORDED).map(|&(name, test)| Test {
        name: format!("identity::{name}"),
        run: Box::new(move || bench::on(RootfsChoice::Auto, &test)),
    });
    let once = library::TESTS.iter().map(|&(name, test)| Test {
        name: name.to_owned(),
        run: Box::new(move || bench::on(RootfsChoice::Auto, &test)),
    });
    let tables = table::PAIRS.iter().map(|&(name, driver, ownership)| Test {
        name: name.to_owned(),
        run: Box::new(move || bench::on(driver, &move || table::run(driver, ownership))),
    });
    let on_drivers = DRIVERS.into_iter().flat_map(on_driver);
    let tests: Vec<Test> = on_drivers.chain(recorded).chain(once).chain(tables).collect();
    harness::main(&arguments, &tests)
}
