//! Everything that is attached on this machine, in one list.
//!
//! No single place of the kernel knows it. A program may be attached by a link, over netlink, by the old call to a
//! cgroup, map or namespace, or to a perf event that some process has open. Each is asked for in its own way, and a
//! program that two of them show is listed once:
//!
//! ```text
//!   all links                      BPF_LINK_GET_NEXT_ID, and what each tells
//!   each network namespace         RTM_GETLINK: XDP of each interface
//!     each interface               BPF_PROG_QUERY: tcx, netkit
//!     each qdisc and class         RTM_GETTFILTER: classic filters
//!     routes                       RTM_GETROUTE: encapsulations
//!     itself                       BPF_PROG_QUERY: flow dissector, socket lookup
//!   each cgroup                    BPF_PROG_QUERY, for each of its 29 hooks
//!   each map of sockets            BPF_PROG_QUERY
//!   each struct_ops map            its state: in use without a link?
//!   each process                   /proc/PID/fd: perf events, and who holds which link and program
//!   each bpffs                     which link and program has which name
//! ```
//!
//! The list is taken while the machine runs: what comes or goes meanwhile may be in it or not. What cannot be asked is
//! put on a list of problems, and the rest goes on.
//!
//! What it cannot see: filters of sockets (only the socket's holder can ask), programs in the elements of a map
//! (program arrays, devmaps), and interfaces of namespaces that nothing names and no process is in.

mod cgroups;
mod interfaces;
mod maps;
mod names;
mod namespaces;
mod open;
mod perf;
mod pins;
mod processes;
mod scope;
mod survey;

pub use namespaces::Namespace;
pub use pins::{Pins, scan as pins};
pub use processes::{Holder, Processes, scan as processes};
pub use scope::{Problem, Scope};
pub use survey::{Attachment, By, Inventory};

use survey::{Survey, is_unknown};

/// Lists what is attached. Needs `CAP_SYS_ADMIN` for links, `CAP_NET_ADMIN` for the rest; what is not permitted is a
/// problem, not an error.
pub fn inventory(scope: &Scope) -> Inventory {
    survey(&Look { scope: scope.clone(), cgroups: true, maps: true, holders: true })
}

/// Which hooks to look at; links are always listed.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The interfaces and hooks of these network namespaces.
    pub scope: Scope,
    /// The cgroups.
    pub cgroups: bool,
    /// Maps of sockets, and struct_ops maps.
    pub maps: bool,
    /// The perf events of all processes, and who holds what, by processes and by pins: the dearest part on a machine
    /// with many processes.
    pub holders: bool,
}

/// Lists what is attached at some hooks. What belongs to the others may be in the list, by its link, or not.
pub fn survey(look: &Look) -> Inventory {
    let mut survey = Survey::default();
    survey.links();
    if look.holders {
        survey.processes = processes::scan(&mut survey.problems);
        survey.pins = pins::scan(&mut survey.problems);
    }
    let namespaces = namespaces::find(&look.scope, &mut survey.problems);
    for namespace in &namespaces {
        interfaces::look(&mut survey, namespace);
    }
    if look.cgroups {
        cgroups::look(&mut survey);
    }
    if look.maps {
        maps::look(&mut survey);
    }
    if look.holders {
        perf::look(&mut survey);
    }
    survey.finish(namespaces)
}
