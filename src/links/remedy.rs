//! What to do where attaching was refused.

use std::fmt;

use super::XdpMode;

/// What lets a program in where it was refused. `Display` words it for users of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Detach the program that is there, or put this one in its place.
    MakeRoom,
    /// Attach in one of these modes.
    Mode(&'static [XdpMode]),
    /// Make packets on this interface smaller, or attach in generic mode.
    LowerMtu(String),
    /// Put the program behind the link of this id.
    UpdateLink(u32),
    /// Say which map the iterator walks over.
    NameMap,
    /// Say which process is meant.
    NameProcess,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::MakeRoom => f.write_str("detach it first, or put the new program in its place"),
            Remedy::Mode(modes) => {
                let names: Vec<&str> = modes.iter().map(|m| m.name()).collect();
                write!(f, "attach in {} mode", names.join(" or "))
            }
            Remedy::LowerMtu(interface) => {
                write!(f, "lower it with `ip link set {interface} mtu 1500`, or attach in generic mode")
            }
            Remedy::UpdateLink(id) => write!(f, "put the new program behind link {id}"),
            Remedy::NameMap => f.write_str("name the map"),
            Remedy::NameProcess => f.write_str("name the process"),
        }
    }
}
