//! What the verifier knows of registers and stack slots, as its log says it, in the words of every kernel
//! since 5.10.
//!
//! ```text
//!   5.10   R0_w=map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0)   R2_w=inv(id=0,umax_value=255,var_off=(0x0; 0xff))
//!   6.12   R0_w=map_value_or_null(id=1,map=counts,ks=4,vs=8)    R2_w=scalar(smin=smin32=0,smax=umax=smax32=umax32=255)
//!   7.3    R0=map_value_or_null(id=1,map=counts,ks=4,vs=8)
//! ```
//!
//! A kind (`map_value_or_null`) and attributes in parentheses; several attributes may share a value
//! (`smax=umax=255`), and what is not said has its widest value.

use std::fmt;

/// A place that holds a value: a register, or eight bytes of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "Slot")]
pub enum StateSlot {
    /// `R0` to `R10`.
    Reg(u8),
    /// `fp-8`: so many bytes below the top of the stack.
    Stack(u32),
}

/// What a line says about registers and the stack; what it does not mention has not changed.
#[derive(Debug, Clone, Default, PartialEq)]
#[doc(alias = "State")]
pub struct RegState<'a> {
    /// How deep in calls, 0 for the program itself; `None` if it does not say.
    pub frame: Option<u32>,
    /// What it mentions.
    pub values: Vec<(StateSlot, RegValue<'a>)>,
}

impl<'a> RegState<'a> {
    /// Reads as much as can be read.
    pub fn parse(text: &'a str) -> RegState<'a> {
        let mut out = RegState::default();
        for word in Words(text) {
            if let Some(frame) = word.strip_prefix("frame").and_then(|w| w.strip_suffix(':')) {
                out.frame = frame.parse().ok();
                continue;
            }
            let Some((name, value)) = word.split_once('=') else { continue };
            if let Some(slot) = slot(name) {
                out.values.push((slot, RegValue { text: value }));
            }
        }
        out
    }

    /// True if it says nothing.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.frame.is_none()
    }
}

/// `R1`, `R1_w`, `R1_rw`, `fp-8`, `fp-8_w`.
fn slot(name: &str) -> Option<StateSlot> {
    let name = name.split('_').next()?;
    if let Some(number) = name.strip_prefix('R') {
        return number.parse().ok().filter(|n| *n <= 10).map(StateSlot::Reg);
    }
    name.strip_prefix("fp-")?.parse().ok().map(StateSlot::Stack)
}

/// Words with blanks between; a blank in parentheses is part of the word.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        if text.is_empty() {
            return None;
        }
        let mut depth = 0u32;
        let end = text.find(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ' ' && depth == 0
        });
        let (word, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        self.0 = rest;
        Some(word)
    }
}

/// What a register or a stack slot holds, as the log says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "Value")]
pub struct RegValue<'a> {
    text: &'a str,
}

/// The numbers that a scalar or an offset may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Least, signed.
    pub smin: i64,
    /// Most, signed.
    pub smax: i64,
    /// Least, unsigned.
    pub umin: u64,
    /// Most, unsigned.
    pub umax: u64,
}

impl Range {
    /// Any number.
    pub const ANY: Range = Range { smin: i64::MIN, smax: i64::MAX, umin: 0, umax: u64::MAX };

    fn only(n: i64) -> Range {
        Range { smin: n, smax: n, umin: n as u64, umax: n as u64 }
    }

    /// Bounds that follow from the others: kernels print them, or not.
    fn settled(mut self) -> Range {
        if self.umax <= i64::MAX as u64 {
            self.smin = self.smin.max(self.umin as i64);
            self.smax = self.smax.min(self.umax as i64);
        }
        if self.smin >= 0 {
            self.umin = self.umin.max(self.smin as u64);
            self.umax = self.umax.min(self.smax as u64);
        }
        self
    }

    /// It may be below zero, taken as signed.
    pub fn may_be_negative(&self) -> bool {
        self.smin < 0
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.settled();
        match r {
            Range::ANY => f.write_str("any number"),
            _ if r.smin == r.smax => write!(f, "the number {}", r.smin),
            _ if r.smin >= 0 && r.smax == i64::MAX => write!(f, "a number from {} on", r.smin),
            _ if r.smin >= 0 => write!(f, "a number from {} to {}", r.smin, r.smax),
            _ if r.smin == i64::MIN && r.smax == i64::MAX => {
                write!(f, "a number from {} to {}", r.umin, r.umax)
            }
            _ if r.smin == i64::MIN => write!(f, "a number up to {}, maybe negative", r.smax),
            _ if r.smax == i64::MAX => write!(f, "a number from {} on", r.smin),
            _ => write!(f, "a number from {} to {}", r.smin, r.smax),
        }
    }
}

impl<'a> RegValue<'a> {
    /// Takes what stands behind the `=`.
    pub fn new(text: &'a str) -> RegValue<'a> {
        RegValue { text }
    }

    /// The kernel's own words.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// The kind: `map_value_or_null`, `ctx`, `scalar`; what older kernels call `inv` is `scalar`.
    pub fn kind(self) -> &'a str {
        let kind = self.text.split('(').next().unwrap_or("");
        // `fp-16`, `inv5`, `invP`, `P5`: the number is no part of the kind.
        if kind.starts_with("inv") || self.constant().is_some() {
            return "scalar";
        }
        if kind.starts_with("fp") {
            return "fp";
        }
        kind
    }

    /// True if it may be NULL.
    pub fn may_be_null(self) -> bool {
        self.kind().contains("or_null")
    }

    /// A number that is known: `0`, `0xff`, `inv5`, `P0`.
    pub fn constant(self) -> Option<i64> {
        let text = self.text.strip_prefix("inv").unwrap_or(self.text);
        number(text.strip_prefix('P').unwrap_or(text))
    }

    /// What it says of an attribute, such as `vs` (the size of a map's value).
    pub fn attr(self, name: &str) -> Option<&'a str> {
        let (_, rest) = self.text.split_once('(')?;
        let inner = rest.strip_suffix(')').unwrap_or(rest);
        inner.split(',').find_map(|part| {
            let (names, value) = part.rsplit_once('=').filter(|(n, _)| !n.contains('('))?;
            names.split('=').any(|n| n == name).then_some(value)
        })
    }

    /// An attribute that is a number.
    pub fn number(self, name: &str) -> Option<i64> {
        self.attr(name).and_then(number)
    }

    /// The numbers that it may be, or that its variable offset may be.
    pub fn range(self) -> Range {
        if let Some(n) = self.constant() {
            return Range::only(n);
        }
        let bound = |new, old| self.attr(new).or_else(|| self.attr(old));
        let signed = |new, old| bound(new, old).and_then(number);
        let unsigned = |new, old| bound(new, old).and_then(unsigned);
        Range {
            smin: signed("smin", "smin_value").unwrap_or(i64::MIN),
            smax: signed("smax", "smax_value").unwrap_or(i64::MAX),
            umin: unsigned("umin", "umin_value").unwrap_or(0),
            umax: unsigned("umax", "umax_value").unwrap_or(u64::MAX),
        }
        .settled()
    }

    /// The most that the lower 32 bits may be as a signed number, if that is known.
    fn lower_half(self) -> Option<i64> {
        let most = ["smax32", "s32_max_value", "s32_max"].iter().find_map(|name| self.number(name))?;
        (most < i64::from(i32::MAX)).then_some(most)
    }

    /// The fixed part of a pointer's offset.
    pub fn offset(self) -> i64 {
        if let Some(off) = self.text.strip_prefix("fp").and_then(number) {
            return off;
        }
        let off = self.number("off").unwrap_or(0);
        // Linux 7: a known offset is the only value of the variable part.
        off.saturating_add(self.number("imm").unwrap_or(0))
    }

    /// True if a part of its offset is known at run time only.
    pub fn is_variable(self) -> bool {
        ["var_off", "smin", "smax", "umax"].iter().any(|name| self.attr(name).is_some())
    }
}

/// In plain words, the same for every kernel.
impl fmt::Display for RegValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        if kind == "scalar" {
            self.range().fmt(f)?;
            return match self.lower_half() {
                Some(most) if self.range() == Range::ANY => {
                    write!(f, " (its lower 32 bits up to {most}, maybe negative)")
                }
                _ => Ok(()),
            };
        }
        let (base, null) = match kind.split_once("_or_null") {
            Some((base, "")) => (base, true),
            _ => (kind, false),
        };
        match base {
            "map_value" => match self.number("vs") {
                Some(size) => write!(f, "a map's value of {size} bytes")?,
                None => f.write_str("a map's value")?,
            },
            "mem" | "ringbuf_mem" | "alloc_mem" | "rdonly_mem" => f.write_str("memory")?,
            _ => match KINDS.iter().find(|(k, _)| *k == base) {
                Some((_, words)) => f.write_str(words)?,
                None => pointer(f, base)?,
            },
        }
        if base != "pkt_end" && !null {
            self.show_offset(f)?;
        }
        if null { f.write_str(" or NULL") } else { Ok(()) }
    }
}

impl RegValue<'_> {
    fn show_offset(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = self.offset();
        match (self.is_variable(), fixed) {
            (false, 0) => Ok(()),
            (false, off) => write!(f, " {} {}", if off < 0 { "-" } else { "+" }, off.unsigned_abs()),
            (true, _) => {
                let r = self.range();
                match (r.smin.checked_add(fixed), r.smax.checked_add(fixed)) {
                    (Some(least), Some(most)) if r.smin > i64::MIN && r.smax < i64::MAX => {
                        write!(f, " + {least} to {most}")
                    }
                    _ => f.write_str(" + any number"),
                }
            }
        }
    }
}

/// Kinds that are not pointers to kernel types.
static KINDS: &[(&str, &str)] = &[
    ("ctx", "the context"),
    ("fp", "the stack"),
    ("map_ptr", "a map"),
    ("map_key", "a map's key"),
    ("pkt", "the packet"),
    ("pkt_meta", "the packet's metadata"),
    ("pkt_end", "the end of the packet"),
    ("sock", "a socket"),
    ("sock_common", "a socket"),
    ("tcp_sock", "a TCP socket"),
    ("xdp_sock", "an XDP socket"),
    ("func", "a function"),
    ("buf", "a buffer"),
    ("rdonly_buf", "a buffer"),
    ("rdwr_buf", "a buffer"),
    ("dynptr_ptr", "a dynptr"),
    ("arena", "an arena"),
];

/// `trusted_ptr_task_struct`, `rcu_ptr_or_null_cgroup`.
fn pointer(f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
    let Some((how, what)) = kind.split_once("ptr_") else { return write!(f, "`{kind}`") };
    let how = if how.contains("untrusted") { "an untrusted pointer" } else { "a pointer" };
    let (what, null) = match what.strip_prefix("or_null_") {
        Some(what) => (what, " or NULL"),
        None => (what, ""),
    };
    write!(f, "{how} to struct {what}{null}")
}

fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let n = unsigned(digits)?;
    if sign { 0i64.checked_sub_unsigned(n) } else { Some(n as i64) }
}

fn unsigned(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => match text.strip_prefix('-') {
            Some(_) => text.parse::<i64>().ok().map(|n| n as u64),
            None => text.parse().ok(),
        },
    }
}
