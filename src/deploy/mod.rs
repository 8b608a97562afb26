//! What stays when a command ends: programs at hooks, by pins. The fifth stage.
//!
//! Loading decides first and acts once: `Object -> Plan -> Loaded`. What stays has the same shape:
//!
//! ```text
//!   Request ──resolve──► WantedHook ─┐
//!   what is wanted        places     ├──diff──► steps ──run──► what stays
//!   pins ──state──► DeployState ─────┘  pure    printed        asked again, whether it is so
//!   and the kernel  what is
//! ```
//!
//! * [`Request`]: an object under a name, and which program is to run where, as a user says it.
//! * [`HookKey`]: which place that is, as the kernel says it: inode of a namespace and number of an interface, id of a
//!   cgroup, id of a map. Wanted and actual are compared by it. What a pin is called is for people.
//! * [`DeployState`]: what is pinned, and whether it runs: alive, dead with its interface, gone without a trace.
//! * [`diff`]: the steps between, as text and as values; touches nothing.
//! * [`deploy`] makes them, in one of two ways. If programs are new, a directory is put together beside the old one and
//!   both change places (`mend` says how a kill in the middle is mended). If only hooks are otherwise than wanted, they
//!   are put right while programs and maps stay. Then the machine is asked: a success means attached now.
//!
//! All of it is in the bpffs and nowhere else. Beside the pins stands a [`LoadRecord`] of what was wanted, so that what was
//! lost with an interface can be told, and made again.
//!
//! ```no_run
//! use rawbpf::deploy::{self, How, Loading, Request, Store};
//! use rawbpf::{Object, Target, Xdp, XdpMode};
//!
//! let object = Object::open("packet_count.o")?;
//! let xdp = Target::Xdp(Xdp { interface: "eth0".into(), mode: XdpMode::Auto });
//! let request = Request::new("packet_count").wish("count_packets", xdp);
//! let store = Store::new("/sys/fs/bpf".as_ref());
//! let _lock = store.lock()?;
//! let done = deploy::deploy(&store, &request, &Loading::new(object), How::Apply)?;
//! done.decision.steps.iter().for_each(|step| println!("{step}"));
//! done.leave();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod act;
mod attach;
mod bpffs;
mod compare;
mod decide;
mod diff;
mod error;
mod find;
mod held;
mod hook;
mod layout;
mod made;
mod maps;
mod mend;
mod record;
mod remove;
mod repair;
mod replace;
mod request;
mod run;
mod state;
mod store;
mod struct_ops;
mod table;
mod target;
mod watch;

pub use bpffs::{BPFFS, is_bpffs, mount, will_stay};
pub use compare::{Now, StatusLine, compare, compare_pins};
pub use decide::{decide, decide_from, within};
pub use diff::{DeployStep, Fate, Programs, Wishes, diff};
pub use error::DeployError;
pub use find::{Selector, pinned};
pub use held::Lost;
pub use hook::{Here, HookKey, MapKey, ProgramFacts};
pub use layout::{Copying, Leaf, leaves};
pub use made::{Decision, Deployed, How, Made};
pub use maps::Migrated;
pub use mend::mend;
pub use record::{LoadRecord, digest};
pub use remove::{Removed, remove};
pub use request::{Loading, Maps, Request, Rest, WantedHook, Wish, names, resolve};
pub use run::{deploy, hold};
pub use state::{Actual, Condition, DeployState, Neighbour, Other, dead, state, states};
pub use store::{LoadEntry, Lock, Pin, PinPart, Store};
pub use struct_ops::{programs as table_programs, tables};
pub use target::{can_update, is_traced, pin_name, words};
pub use watch::{Pulse, Watch, Woken, pulse};
