//! Working containers: one file each, which says all there is to say of it. What that is, is the room `container`'s.
//!
//! `rbuild/containers/<id>.json` is replaced by rename, so its readers need no lock and see one state or the next. Whoever
//! changes a container holds its lock from the reading to the writing, for as long as a command runs in it: the second
//! command on one container finds what the first has left. Names are given out under a lock of their own.
//!
//! A record reaches every digest that its text mentions: a collection keeps them (see `gc`), and before a record has its
//! name on disk, their bytes are.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::blobs::read_bounded;
use super::error::{At, if_present};
use super::gc::digests_in_text;
use super::images::CONFIG_LIMIT;
use super::lock::Lock;
use super::names::sync_directory;
use super::{Error, Store};

/// A container as its record has it; `T` is what the store knows nothing of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Container<T> {
    /// 64 hex digits.
    pub id: String,
    /// Unique among containers.
    pub name: String,
    /// When it was made, RFC 3339 with nine digits of a second: text in the order of time.
    pub created: String,
    /// What it is.
    pub state: T,
}

/// A container that nobody else changes.
pub struct HeldContainer<T> {
    store: Store,
    container: Container<T>,
    _lock: Lock,
}

impl Store {
    /// Makes a container called `name`, else by the first of `names` that no container has.
    ///
    /// Errors with [`Error::NameTaken`] if there is no other name.
    pub fn create_container<T: Serialize>(
        &self,
        names: impl IntoIterator<Item = String>,
        state: T,
    ) -> Result<Container<T>, Error> {
        let _names = self.naming_containers()?;
        let taken = self.container_names()?;
        let holder = |name: &str| taken.iter().find(|(other, _)| other == name).map(|(_, id)| id.clone());
        let mut refused = None;
        for name in names {
            if let Some(id) = holder(&name) {
                refused = Some(Error::NameTaken { name, id });
                continue;
            }
            let (id, created) = (self.fresh_id(), format!("{:.9}", jiff::Timestamp::now()));
            let container = Container { id, name, created, state };
            self.write_container(&container)?;
            return Ok(container);
        }
        Err(refused.expect("there is at least one name"))
    }

    /// Every container, oldest first.
    pub fn containers<T: DeserializeOwned>(&self) -> Result<Vec<Container<T>>, Error> {
        let mut found = Vec::new();
        for path in self.container_paths()? {
            // one that was removed meanwhile is none
            found.extend(read(&path)?.map(|text| parse::<Container<T>>(&path, &text)).transpose()?);
        }
        found.sort_by(|one: &Container<T>, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
        Ok(found)
    }

    /// The container called `name`, or whose id starts so. What it reaches is kept from being collected as long as this
    /// handle lives.
    ///
    /// Errors with [`Error::AmbiguousContainer`] if several ids start so.
    pub fn find_container<T: DeserializeOwned>(&self, name: &str) -> Result<Option<Container<T>>, Error> {
        let Some(id) = self.container_id(name)? else { return Ok(None) };
        let path = self.container_path(&id);
        let _gc = self.storing()?;
        let Some(text) = read(&path)? else { return Ok(None) };
        self.pin(&digests_in_text(&text))?;
        parse(&path, &text).map(Some)
    }

    /// Waits for whoever changes the container called `name`, and reads it then; `None` if there is none.
    ///
    /// Errors with [`Error::GaveUp`] if the other is not done by the time that `gives_up` says so.
    pub fn hold_container<T: DeserializeOwned>(
        &self,
        name: &str,
        gives_up: &dyn Fn() -> bool,
    ) -> Result<Option<HeldContainer<T>>, Error> {
        /// How often it is looked whether the other is done.
        const LOOK: Duration = Duration::from_millis(10);
        let Some(id) = self.container_id(name)? else { return Ok(None) };
        let lock = loop {
            match self.try_lock_container(&id)? {
                Some(lock) => break lock,
                None if gives_up() => return Err(Error::GaveUp(name.to_owned())),
                None => std::thread::sleep(LOOK),
            }
        };
        let container = self.find_container(&id)?;
        Ok(container.map(|container| HeldContainer { store: self.clone(), container, _lock: lock }))
    }

    /// The id of the container that `name` stands for.
    fn container_id(&self, name: &str) -> Result<Option<String>, Error> {
        let names = self.container_names()?;
        if let Some((_, id)) = names.iter().find(|(own, _)| own == name) {
            return Ok(Some(id.clone()));
        }
        let is_prefix = !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found = names.iter().map(|(_, id)| id).filter(|id| is_prefix && id.starts_with(name));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::AmbiguousContainer(name.to_owned())),
            (found, _) => Ok(found.cloned()),
        }
    }

    /// Each name, and whose it is.
    fn container_names(&self) -> Result<Vec<(String, String)>, Error> {
        #[derive(Deserialize)]
        struct Named {
            id: String,
            name: String,
        }
        let mut names = Vec::new();
        for path in self.container_paths()? {
            if let Some(text) = read(&path)? {
                let Named { id, name } = parse(&path, &text)?;
                names.push((name, id));
            }
        }
        Ok(names)
    }

    fn container_paths(&self) -> Result<Vec<PathBuf>, Error> {
        let directory = self.containers_dir();
        let mut paths = Vec::new();
        for entry in fs::read_dir(&directory).at("list", &directory)? {
            paths.push(entry.at("list", &directory)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
        Ok(paths)
    }

    /// Replaces the record, durably, once all that it mentions is durable.
    fn write_container<T: Serialize>(&self, container: &Container<T>) -> Result<(), Error> {
        let text = serde_json::to_string(container).expect("a record holds only what JSON can");
        let digests = digests_in_text(&text);
        {
            let _gc = self.storing()?;
            self.pin(&digests)?;
        }
        self.make_blobs_durable(&digests)?;
        let tmp = self.tmp_file_of(text.as_bytes())?;
        tmp.file().sync_all().at("sync", tmp.path())?;
        tmp.rename(&self.container_path(&container.id))?;
        sync_directory(&self.containers_dir())
    }

    /// Random enough that nobody meets another's: four words of the system's seed.
    fn fresh_id(&self) -> String {
        loop {
            let words = [(); 4].map(|()| RandomState::new().hash_one(0));
            let id = hex::encode(words.map(u64::to_be_bytes).as_flattened());
            if !self.container_path(&id).exists() {
                return id;
            }
        }
    }

    fn containers_dir(&self) -> PathBuf {
        self.root().join("rbuild/containers")
    }

    fn container_path(&self, id: &str) -> PathBuf {
        self.containers_dir().join(id).with_extension("json")
    }
}

impl<T: Serialize> HeldContainer<T> {
    /// What it is.
    pub fn container(&self) -> &Container<T> {
        &self.container
    }

    /// Makes `state` what it is.
    pub fn save(&mut self, state: T) -> Result<(), Error> {
        self.container.state = state;
        self.store.write_container(&self.container)
    }

    /// Gives it another name. Errors with [`Error::NameTaken`] if a container has it.
    pub fn rename(&mut self, name: &str) -> Result<(), Error> {
        let _names = self.store.naming_containers()?;
        if let Some((_, id)) = self.store.container_names()?.into_iter().find(|(other, _)| other == name) {
            return Err(Error::NameTaken { name: name.to_owned(), id });
        }
        name.clone_into(&mut self.container.name);
        self.store.write_container(&self.container)
    }

    /// Forgets it. Layers that nothing else reaches go with the next collection.
    pub fn remove(self) -> Result<(), Error> {
        let path = self.store.container_path(&self.container.id);
        if_present(fs::remove_file(&path)).at("remove", &path)?;
        sync_directory(&self.store.containers_dir())
    }
}

/// The record's text; `None` if it is gone.
fn read(path: &Path) -> Result<Option<String>, Error> {
    let Some(file) = if_present(File::open(path)).at("open", path)? else { return Ok(None) };
    let bytes = read_bounded(&file, path, CONFIG_LIMIT)?;
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|why| Error::Malformed { path: path.to_owned(), why: why.to_string() })
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|why| Error::Malformed { path: path.to_owned(), why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{put_layer, scratch};
    use super::*;

    fn create(store: &Store, name: &str) -> Container<Vec<String>> {
        store.create_container([name.to_owned()], Vec::new()).unwrap()
    }

    fn hold(store: &Store, name: &str) -> Option<HeldContainer<Vec<String>>> {
        store.hold_container(name, &|| false).unwrap()
    }

    #[test]
    fn containers_are_found_by_name_and_by_the_beginning_of_their_id() {
        let (_dir, store) = scratch();
        let (a, b) = (create(&store, "a"), create(&store, "b"));
        for (word, want) in [
            ("a", Some(&a.id)),
            ("b", Some(&b.id)),
            (&a.id[..], Some(&a.id)),
            (&b.id[..20], Some(&b.id)),
            ("", None),
            ("c\u{e4}", None),
            ("../a", None),
        ] {
            let found = store.find_container::<Vec<String>>(word).unwrap();
            assert_eq!(found.map(|found| found.id).as_ref(), want, "{word:?}");
        }
        let listed: Vec<_> = store.containers::<Vec<String>>().unwrap();
        assert_eq!(listed.iter().map(|one| &one.name).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_name_is_one_containers() {
        let (_dir, store) = scratch();
        let x = create(&store, "x");
        let numbered = ["x", "x-1"].map(str::to_owned);
        assert_eq!(store.create_container(numbered, ()).unwrap().name, "x-1");
        let taken = store.create_container(["x".to_owned()], ()).unwrap_err();
        assert!(matches!(&taken, Error::NameTaken { id, .. } if *id == x.id), "{taken}");
        let mut held = hold(&store, "x").unwrap();
        for name in ["x", "x-1"] {
            assert!(matches!(held.rename(name), Err(Error::NameTaken { .. })), "{name}");
        }
        held.rename("y").unwrap();
        drop(held);
        assert!(store.find_container::<Vec<String>>("x").unwrap().is_none());
        assert_eq!(store.find_container::<Vec<String>>("y").unwrap().unwrap().id, x.id);
    }

    #[test]
    fn who_comes_second_finds_what_the_first_has_left() {
        let (_dir, store) = scratch();
        create(&store, "a");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let store = &store;
                scope.spawn(move || {
                    for turn in 0..5 {
                        let mut held = hold(store, "a").unwrap();
                        let mut state = held.container().state.clone();
                        state.push(format!("{number} {turn}"));
                        held.save(state).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.find_container::<Vec<String>>("a").unwrap().unwrap().state.len(), 40);
        let _held = hold(&store, "a").unwrap();
        let refused = store.hold_container::<Vec<String>>("a", &|| true).err();
        assert!(matches!(refused, Some(Error::GaveUp(_))), "{refused:?}");
    }

    #[test]
    fn what_a_container_reaches_stays_until_it_is_removed() {
        let (dir, store) = scratch();
        let layer = put_layer(&store, b"tar");
        create(&store, "a");
        let mut held = hold(&store, "a").unwrap();
        held.save(vec![layer.diff_id.0.to_string()]).unwrap();
        drop((held, store));
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.collect_garbage().unwrap(), []);
        assert!(store.has_blob(&layer.diff_id.0));
        hold(&store, "a").unwrap().remove().unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.collect_garbage().unwrap(), [layer.diff_id.0]);
        assert!(hold(&store, "a").is_none());
    }

    #[test]
    fn a_damaged_record_is_an_error_that_names_the_file() {
        let (dir, store) = scratch();
        let id = create(&store, "a").id;
        let path = dir.path().join("rbuild/containers").join(id).with_extension("json");
        for text in ["", "{", "[]", "{\"id\":1}", "\u{fffd}\0"] {
            fs::write(&path, text).unwrap();
            let error = store.find_container::<()>("a").unwrap_err().to_string();
            assert!(error.contains("is malformed") && error.contains(".json"), "{text:?}: {error}");
            assert!(store.create_container(["b".to_owned()], ()).is_err(), "whose name may be that one's");
        }
    }
}
