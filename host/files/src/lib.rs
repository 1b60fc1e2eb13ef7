//! Careful ways to open, read and write files. A path may come from a person or from a stranger's job, and anything
//! may lie there: a named pipe, a device, a file of the kernel that never ends.
//!
//! - **Reading** ([`open_regular`], [`read_bounded`]) takes regular files only, never waits for a writer, and reads
//!   no more than its limit. What the kernel makes up while it is read (/proc, /sys) is refused, except by
//!   [`read_kernel_file`], which sensors use.
//! - **Writing** ([`write_whole`], [`WholeFile`]) shows others the old file or the new one, never a part. It replaces
//!   regular files only.
//! - **Locks** ([`LockFile`]) that the system gives back with the process that held them.
//! - **Folders** ([`private_folder`]) that only this user may enter.
//!
//! Not what is in a file: states are `anneal-sandbox`'s, inputs and settings the command's.

mod folder;
mod lock;
mod read;
mod write;

pub use folder::{folder_and_name, private_folder};
pub use lock::LockFile;
pub use read::{
    ReadError, open_regular, open_regular_in, read_bounded, read_bounded_in, read_kernel_file, read_rest,
    read_text,
};
pub use write::{WholeFile, is_part, write_whole};

#[cfg(test)]
mod tests;
