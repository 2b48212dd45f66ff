//! Builds by the library: what a listener does to one.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use rbuild::build::{Attestations, Cache, Context, Contexts, Error, Finish, Options, build};
use rbuild::dockerfile::Script;
use rbuild::oci::Platform;
use rbuild::progress::{Event, Sink};
use rbuild::registry::{self, Client};
use rbuild::runtime::{Cancel, Confinement, Groups};
use rbuild::store::Store;
use rbuild::transfer::PullPolicy;
use rbuild_userns::idmap::Choice;

use super::bench::{self, BUSYBOX};

pub const TESTS: &[(&str, fn())] = &[("build::a_panic_in_a_stage_stops_the_others", a_panic)];

/// One stage sleeps; another panics once the first has begun, by whoever listens.
const DOCKERFILE: &str = "FROM scratch AS sleeper\nCOPY busybox /busybox\n\
    RUN [\"/busybox\", \"sh\", \"-c\", \"echo begun; exec /busybox sleep 600\"]\n\
    FROM scratch AS panicker\nLABEL boom=1\nFROM scratch\nCOPY --from=sleeper / /a/\nCOPY --from=panicker / /b/\n";

/// Whether the sleeper has said something.
#[derive(Default)]
struct Listener(Mutex<bool>);

impl Sink for Listener {
    fn event(&self, event: Event) {
        match event {
            Event::Output { .. } => *self.0.lock().unwrap() = true,
            Event::Step { text, .. } if text == "LABEL boom=1" => {
                while !*self.0.lock().unwrap() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                panic!("this listener panics");
            }
            _ => {}
        }
    }
}

fn a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let context = dir.path().join("context");
    fs::create_dir(&context).unwrap();
    fs::copy(BUSYBOX, context.join("busybox")).unwrap();
    let files = Context::of_directory(&context, Context::MAIN).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let client = Client::new(registry::Options::default()).unwrap();
    let options = Options {
        first_base: None,
        dockerfile: Script::new("Dockerfile", DOCKERFILE),
        contexts: Contexts::default(),
        target: None,
        build_args: BTreeMap::new(),
        proxies: BTreeMap::new(),
        finish: Finish::default(),
        tags: vec!["panicked".parse().unwrap()],
        attestations: Attestations::default(),
        manifest: None,
        platforms: vec![Platform::host()],
        platform: Platform::host(),
        cache: Cache::default(),
        pull: PullPolicy::Never,
        confinement: Confinement::default(),
        insecure: None,
        secrets: BTreeMap::new(),
        agents: BTreeMap::new(),
        further_groups: Vec::new(),
        rootfs: bench::driver(),
        jobs: NonZeroUsize::new(4).unwrap(),
        web: rbuild::web::Options { insecure: false, retries: 0, retry_delay: Duration::ZERO, limit: 0 },
        sandbox: rbuild::runtime::Options {
            idmap: Choice::Auto,
            groups: Groups::Dropped,
            maps: (None, None),
        },
    };
    let built = build(&store, &client, files, &options, &Cancel::default(), &Listener::default());
    match built.map(|image| image.id().to_string()) {
        Err(Error::Panic { stage: 2, message }) => assert_eq!(message, "this listener panics"),
        Err(other) => panic!("{other}"),
        Ok(id) => panic!("built {id}"),
    }
    assert!(store.images().unwrap().is_empty());
    assert_eq!(fs::read_dir(store.root().join("rbuild/live")).unwrap().count(), 0, "nothing runs any more");
}
