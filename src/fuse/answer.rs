//! The one place that replies: calls the operation's method and puts what it returns on the wire.

use super::attributes::FileType;
use super::body::{Body, Lines, Listing};
use super::filesystem::{Filesystem, Place};
use super::request::{Header, Operation, Width, pairs};
use super::{Errno, Opened};

/// Whether an answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The body is what there is to say, perhaps nothing.
    Yes,
    /// FORGET: nobody waits, and an answer would be taken for somebody else's.
    Never,
}

/// Does what is asked.
pub fn answer<F: Filesystem + ?Sized>(
    fs: &F,
    header: &Header,
    operation: Operation<'_>,
    body: &mut Body<'_>,
) -> Result<Answered, Errno> {
    use Operation as Op;
    let (id, caller) = (header.id, header.caller);
    let here = |name| Place { parent: id, name };
    match operation {
        Op::Forget { count } => {
            fs.forget(id, count);
            return Ok(Answered::Never);
        }
        Op::BatchForget { pairs: bytes } => {
            pairs(bytes).for_each(|(id, count)| fs.forget(id, count));
            return Ok(Answered::Never);
        }

        Op::Lookup { name } => body.entry(fs.lookup(here(name))?.as_ref()),
        Op::Symlink { name, target } => body.entry(Some(&fs.symlink(caller, here(name), target)?)),
        Op::MkNod { name, mode, umask, device } => {
            let kind = FileType::from_mode(mode).ok_or(Errno::INVAL)?;
            body.entry(Some(&fs.make(caller, here(name), kind, device, mode & 0o7777, umask)?));
        }
        Op::MkDir { name, mode, umask } => {
            let made = fs.make(caller, here(name), FileType::Directory, 0, mode & 0o7777, umask)?;
            body.entry(Some(&made));
        }
        Op::Link { id: linked, name } => body.entry(Some(&fs.link(linked, here(name))?)),
        Op::Create { name, flags, mode, umask } => {
            let (made, Opened(opened)) = fs.create(caller, here(name), mode & 0o7777, umask, flags)?;
            body.entry(Some(&made));
            body.opened(opened);
        }
        Op::TmpFile { flags, mode, umask } => {
            let (made, Opened(opened)) = fs.temporary(caller, id, mode & 0o7777, umask, flags)?;
            body.entry(Some(&made));
            body.opened(opened);
        }
        Op::Unlink { name } => fs.unlink(here(name))?,
        Op::RmDir { name } => fs.rmdir(here(name))?,
        Op::Rename { name, to, to_name, flags } => {
            fs.rename(here(name), Place { parent: to, name: to_name }, flags, caller)?;
        }

        Op::GetAttr => body.attributes(&fs.attributes(id)?),
        Op::SetAttr(changes) => body.attributes(&fs.set_attributes(caller, id, &changes)?),
        Op::ReadLink => body.put(&fs.read_link(id)?),
        Op::SetXattr { name, value, flags, privileges } => {
            fs.set_xattr(id, name, value, flags, privileges)?;
        }
        Op::GetXattr { name, size } => body.xattr(&fs.xattr(id, name)?, size)?,
        Op::ListXattr { size } => body.xattr(&fs.xattr_names(id)?, size)?,
        Op::RemoveXattr { name } => fs.remove_xattr(id, name)?,

        Op::Open { flags, privileges } => body.opened(fs.open(id, flags, privileges)?.0),
        Op::OpenDir => body.opened(fs.open_directory(id)?.0),
        // There are no handles, so there is nothing to give back.
        Op::Release | Op::Destroy => {}
        Op::Flush => fs.flush(id)?,
        Op::Fsync => fs.sync(id)?,
        Op::FsyncDir => fs.sync_directory(id)?,
        Op::SyncFs => fs.sync_all()?,

        Op::Read { offset, size } => body.fill(size, |into| fs.read(id, offset, into))?,
        Op::Write { offset, bytes, origin, privileges } => {
            let written = fs.write(id, offset, bytes, origin, privileges)?;
            count(body, written as u64, Width::U32);
            body.u32(0);
        }
        Op::ReadDir { after, size } => {
            fs.read_directory(id, after, Listing::Names, &mut Lines::new(body, Listing::Names, size))?;
        }
        Op::ReadDirPlus { after, size } => {
            fs.read_directory(id, after, Listing::Lookups, &mut Lines::new(body, Listing::Lookups, size))?;
        }
        Op::Allocate { offset, length, mode } => fs.allocate(id, offset, length, mode)?,
        Op::Seek { offset, whence } => body.u64(fs.seek(id, offset, whence)?),
        Op::CopyRange { offset, to, to_offset, count: wanted, wide } => {
            let wanted = if wide == Width::U32 { wanted.min(u32::MAX.into()) } else { wanted };
            count(body, fs.copy_range((id, offset), (to, to_offset), wanted)?, wide);
            if wide == Width::U32 {
                body.u32(0);
            }
        }
        Op::StatFs => body.statistics(&fs.statistics()?),

        // INTERRUPT: no operation waits for anything that could be cut short. INIT comes once, at the handshake.
        Op::Interrupt | Op::Init(_) | Op::Other => return Err(Errno::NOSYS),
    }
    Ok(Answered::Yes)
}

fn count(body: &mut Body<'_>, number: u64, wide: Width) {
    match wide {
        Width::U64 => body.u64(number),
        Width::U32 => body.u32(u32::try_from(number).unwrap_or(u32::MAX)),
    }
}
