//! An image by hand: busybox on nothing, and a file that a command of it writes.

use rbuild::container::{Change, Create, Source};
use rbuild::runtime::Exit;
use rbuild::{Container, Setup, Store};

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    rbuild::init(); // RUN starts this program again, as its sandbox

    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path())?;
    let container = Container::create(&store, Setup::default(), Create::of(Source::Scratch))?;
    container.copy("/bin", "busybox", "/bin/")?;
    let exit = container.run(["/bin/busybox", "sh", "-c", "echo hello > /greeting"])?;
    assert_eq!(exit, Exit::Code(0));
    container.configure(&[Change::Cmd("/bin/busybox cat /greeting".into())])?;

    let image = container.commit(&"greeting".parse()?)?;
    container.remove()?;
    assert_eq!(image.config.rootfs.diff_ids.len(), 1); // what was copied and what was written are one layer
    Ok(())
}
