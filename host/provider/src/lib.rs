//! A provider's agent: polls coordinators for leases, runs each task in a worker, commits, reveals, uploads and
//! traces when asked, and loses no finished work when anything dies. It makes outgoing connections only, and
//! never parses a component itself: that is the sandbox's.
//!
//! What is to be done is decided in [`desk`], which does no IO: it hears what happened and says what to do next.
//! [`agent`] does it. What must survive is in the [`folder`]: a record is written before anybody is told.
//! What may run at all, and how fast, the owner's policy says to the [`warden`], once a second.
//! A task is run by `anneal-runner`.
//!
//! Its owner sees and steers all agents of a process through [`owner`]: from another process over [`control`], a
//! socket in the folder, and in a browser over [`page`], on loopback. A [`lock`] keeps a second process out.

pub mod agent;
pub mod control;
pub mod desk;
mod exchange;
pub mod folder;
pub mod lock;
pub mod owner;
pub mod page;
pub mod payout;
pub mod processors;
pub mod record;
pub mod status;
pub mod warden;

pub use agent::{Agent, AgentError, Device};
pub use folder::{Folder, FolderError};
pub use owner::{Owner, OwnerStatus};
pub use status::{Status, StatusBoard, Wish};
pub use warden::Warden;
