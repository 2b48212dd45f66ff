//! When obtain asks the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::images::{Served, tar};
use super::{Log, client, scratch, told};
use crate::oci::{Digest, Platform, media_type};
use crate::registry::tests::scripted::{Reply, Server};
use crate::transfer::{PullPolicy, obtain};

/// What the registry has of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
enum There {
    Nothing,
    Same,
    Newer,
}

#[test]
fn the_policy_says_when_to_ask() {
    use PullPolicy::{Always, Missing, Never, Newer};
    use There::{Nothing, Same};
    let images = [b"old", b"new"]
        .map(|content| Arc::new(Served::new(&[(&tar("a", content), Some("gzip"), media_type::LAYER_GZIP)])));
    // Policy, whether the store has the old image, what the registry has; which image comes (0 old, 1 new),
    // and whether the registry is asked.
    let rows: [(PullPolicy, bool, There, Option<usize>, bool); 13] = [
        (Missing, true, There::Newer, Some(0), false),
        (Missing, false, There::Newer, Some(1), true),
        (Missing, false, Nothing, None, true),
        (Never, true, There::Newer, Some(0), false),
        (Never, false, There::Newer, None, false),
        (Always, true, There::Newer, Some(1), true),
        (Always, true, Same, Some(0), true),
        (Always, true, Nothing, None, true),
        (Always, false, Same, Some(0), true),
        (Newer, true, Same, Some(0), true),
        (Newer, true, There::Newer, Some(1), true),
        (Newer, true, Nothing, Some(0), true),
        (Newer, false, There::Newer, Some(1), true),
    ];
    for row in rows {
        let (policy, here, there, want, want_asked) = row;
        let asked = Arc::new(AtomicUsize::new(0));
        let now = Arc::new(std::sync::Mutex::new(Same));
        let (served, counted, state) = (images.clone(), Arc::clone(&asked), Arc::clone(&now));
        let server = Server::start(move |request, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            let manifest = match *state.lock().unwrap() {
                Nothing => None,
                Same => Some(&served[0].manifest),
                There::Newer => Some(&served[1].manifest),
            };
            if request.path.contains("/manifests/") {
                return manifest.map_or(Reply::new(404), |manifest| Reply::new(200).body(manifest));
            }
            let digest = request.path.rsplit('/').next().unwrap().parse::<Digest>();
            let mut blobs = served.iter().flat_map(|image| image.blobs());
            match digest.ok().and_then(|digest| blobs.find(|(name, _)| *name == digest)) {
                Some((_, blob)) => Reply::new(200).body(blob),
                None => Reply::new(200),
            }
        });
        let (_dir, store) = scratch();
        let (log, client, name) =
            (Log::default(), client(), format!("{}/x", server.address()).parse().unwrap());
        let platform = Platform::host();
        if here {
            obtain(&store, &client, &name, &platform, Missing, &log).unwrap();
        }
        *now.lock().unwrap() = there;
        asked.store(0, Ordering::Relaxed);
        let got = obtain(&store, &client, &name, &platform, policy, &log);
        assert_eq!(asked.load(Ordering::Relaxed) > 0, want_asked, "{row:?}");
        match (got, want) {
            (Ok(image), Some(want)) => {
                assert_eq!(image.descriptor.digest, Digest::of(&images[want].manifest), "{row:?}");
            }
            (Err(error), None) => assert!(told(&error).contains("/x"), "{row:?}: {error}"),
            (got, _) => panic!("{row:?}: {got:?}"),
        }
    }
}
