//! What the kernel says of a loaded program, with what differs from load to load taken out.

use std::os::fd::BorrowedFd;

use rawbpf::sys::{self, ObjectKind};

/// A loaded program.
#[derive(Debug, Default, PartialEq)]
pub struct Loaded {
    pub name: String,
    pub insns: Vec<String>,
    pub maps: Vec<String>,
    pub func_info: Vec<u8>,
    pub line_info: Vec<u8>,
    pub attach: (u32, bool),
    pub gpl: bool,
    pub prog_type: u32,
}

impl Loaded {
    pub fn of(fd: BorrowedFd) -> Result<Loaded, String> {
        let fd = fd.try_clone_to_owned().map_err(|e| e.to_string())?;
        let (info, lists) =
            sys::ProgFd::new(fd).and_then(|fd| sys::prog_lists(&fd)).map_err(|e| e.to_string())?;
        let mut ids = lists.map_ids.clone();
        ids.sort_unstable();
        let maps: Vec<String> = ids.iter().map(|id| map(*id)).collect();
        // For these maps the verifier writes addresses, which are others at every load, and no longer says whose.
        let has_addresses = ids.iter().any(|id| matches!(map_type(*id), Some(ARENA | INSN_ARRAY)));
        let mut insns = Vec::new();
        let (mut wide, mut was_address) = (false, false);
        for (at, insn) in lists.xlated.iter().enumerate() {
            let [a, b, c, d, e, f, g, h] = *insn;
            let imm = u32::from_ne_bytes([e, f, g, h]);
            let (src, op) = (b >> 4, a);
            let is_map = !wide && op == 0x18 && (src == 1 || src == 2 || src == 5 || src == 6);
            // Addresses in the kernel are those of this load's own things.
            let upper =
                |at: usize| lists.xlated.get(at).map_or(0, |i| u32::from_ne_bytes([i[4], i[5], i[6], i[7]]));
            let is_kernel_address = |at: usize| (0xff00_0000..0xffff_ffff).contains(&upper(at));
            let is_address = match wide {
                false => op == 0x18 && src == 0 && (has_addresses || is_kernel_address(at + 1)),
                true => was_address,
            };
            was_address = is_address;
            insns.push(match is_map {
                _ if is_address => format!("{a:02x}{b:02x}{c:02x}{d:02x} address"),
                true => format!("{a:02x}{b:02x}{c:02x}{d:02x} map {}", map(imm)),
                false => format!("{a:02x}{b:02x}{c:02x}{d:02x} {imm:08x}"),
            });
            wide = !wide && op == 0x18;
        }
        Ok(Loaded {
            name: info.name.text(),
            insns,
            maps,
            func_info: lists.func_info,
            line_info: lists.line_info,
            attach: (info.attach_btf_id, info.attach_btf_obj_id != 0),
            gpl: info.flags & 1 != 0,
            prog_type: info.prog_type.0,
        })
    }

    pub fn differences(&self, other: &Loaded) -> Vec<String> {
        let mut out = Vec::new();
        if self.insns != other.insns {
            let first = self.insns.iter().zip(&other.insns).position(|(a, b)| a != b);
            let at = first.unwrap_or(self.insns.len().min(other.insns.len()));
            out.push(format!(
                "instructions: {} and {}; first at {at}: {:?} and {:?}",
                self.insns.len(),
                other.insns.len(),
                self.insns.get(at),
                other.insns.get(at)
            ));
        }
        let mut field = |name: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            if a != b {
                out.push(format!("{name}: {a} and {b}"));
            }
        };
        field("name", &self.name, &other.name);
        field("maps", &self.maps, &other.maps);
        field("func_info", &self.func_info, &other.func_info);
        field("line_info", &self.line_info, &other.line_info);
        field("attach", &self.attach, &other.attach);
        field("gpl", &self.gpl, &other.gpl);
        field("type", &self.prog_type, &other.prog_type);
        out
    }
}

const ARENA: u32 = 33;
const INSN_ARRAY: u32 = 34;

fn map_type(id: u32) -> Option<u32> {
    let fd = sys::fd_by_id(ObjectKind::Map, id).ok()?;
    Some(sys::map_info(&fd).ok()?.map_type.0)
}

/// A map by all that makes it what it is, but its id. Contents of constants count as well.
fn map(id: u32) -> String {
    let Ok(fd) = sys::fd_by_id(ObjectKind::Map, id) else { return format!("id {id}") };
    let Ok(info) = sys::map_info(&fd) else { return format!("id {id}") };
    let contents = rawbpf::Map::from_fd(fd).ok().filter(|m| m.info().map_type.0 == 2 && m.key_len() == 4);
    let contents = contents.and_then(|m| m.get(&[0; 4]).ok().flatten()).unwrap_or_default();
    // The kernel puts addresses of its own into locks, lists and the like.
    let is_address =
        |word: &&[u8]| matches!(word, [.., a, b, c, 0xff] if word.len() == 8 && [*a, *b, *c] != [0xff; 3]);
    let words = contents.chunks(8).filter(|word| !is_address(word));
    let sum = words.flatten().fold(0u64, |h, b| h.wrapping_mul(31).wrapping_add((*b).into()));
    format!(
        "{} type {} key {} value {} max {} flags {:#x} extra {} types {} {} {} contents {sum:x}",
        info.name.text(),
        info.map_type.0,
        info.key_size,
        info.value_size,
        info.max_entries,
        info.map_flags,
        info.map_extra,
        info.btf_key_type_id,
        info.btf_value_type_id,
        info.btf_vmlinux_value_type_id
    )
}
