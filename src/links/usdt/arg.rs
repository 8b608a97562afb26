//! Where a probe's arguments are: the assembler's operands, read back.
//!
//! Each is `SIZE@PLACE`: bytes (negative: signed), and an operand of the machine's assembler.
//!
//! ```text
//!             constant    register     memory
//!   x86-64    -4@$5       8@%rdi       4@-20(%rbp)   8@16(%rax,%rcx,8)
//!   arm64     -4@5        -4@w0 8@x0   8@[sp, 24]    8@[x0, x1, lsl 3]
//!   s390x     -4@5        8@%r2        8@160(%r15)
//! ```
//!
//! What a BPF program gets at a probe is `struct pt_regs`, so a register becomes an offset into that.
//! Places that cannot be reached from there (floating-point registers, addresses by symbol) leave one
//! argument unreadable, not the whole probe.

/// `BPF_USDT_MAX_ARG_CNT`
pub(super) const MAX: usize = 12;

/// An argument: where its value is, and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arg {
    pub(super) place: Place,
    /// Sign-extended to 64 bits.
    pub(super) signed: bool,
    /// Bits of 64 that are not the value's.
    pub(super) shift: u8,
}

/// Where a value is. Registers are offsets into `struct pt_regs`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Constant(i64),
    Register(u16),
    /// At the register's value plus this.
    Memory(u16, i64),
    /// At base + (index << shift) + offset.
    Indexed {
        base: u16,
        index: u16,
        shift: u8,
        offset: i64,
    },
    /// Nowhere that a program can look.
    Unreadable,
}

/// An architecture whose operands can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each is for one kind of machine, and tested on all")]
enum Arch {
    X86_64,
    Aarch64,
    S390x,
    Other,
}

const NATIVE: Arch = if cfg!(target_arch = "x86_64") {
    Arch::X86_64
} else if cfg!(target_arch = "aarch64") {
    Arch::Aarch64
} else if cfg!(target_arch = "s390x") {
    Arch::S390x
} else {
    Arch::Other
};

/// Reads the arguments of a probe; with them, a sentence about each that cannot be read.
pub(super) fn parse_all(text: &str) -> (Vec<Arg>, Vec<String>) {
    parse_for(NATIVE, text)
}

fn parse_for(arch: Arch, text: &str) -> (Vec<Arg>, Vec<String>) {
    let mut notes = Vec::new();
    let mut out = Vec::new();
    for (n, word) in operands(text).into_iter().take(MAX).enumerate() {
        let arg = parse(arch, word);
        if arg.place == Place::Unreadable {
            notes.push(format!("argument {n} (`{word}`) cannot be read from a BPF program"));
        }
        out.push(arg);
    }
    (out, notes)
}

/// Splits at blanks that are not inside of brackets.
fn operands(text: &str) -> Vec<&str> {
    let mut depth = 0i32;
    let is_end = |c: char| {
        depth += match c {
            '[' | '(' => 1,
            ']' | ')' => -1,
            _ => 0,
        };
        c == ' ' && depth <= 0
    };
    text.split(is_end).filter(|word| !word.is_empty()).collect()
}

fn parse(arch: Arch, word: &str) -> Arg {
    let unreadable = Arg { place: Place::Unreadable, signed: false, shift: 0 };
    // Old tools left the size out where it is that of a register.
    let (size, place) = word.split_once('@').unwrap_or(("8", word));
    let Ok(size) = size.parse::<i8>() else { return unreadable };
    let shift = match size.unsigned_abs() {
        1 => 56,
        2 => 48,
        4 => 32,
        8 => 0,
        _ => return unreadable,
    };
    let place = match arch {
        Arch::X86_64 => x86(place),
        Arch::Aarch64 => arm(place),
        Arch::S390x => s390(place),
        Arch::Other => None,
    };
    Arg { place: place.unwrap_or(Place::Unreadable), signed: size < 0, shift }
}

/// A number as assemblers write it.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    } as i64;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// `OFFSET(INSIDE)`: both parts; no offset is 0.
fn bracketed(text: &str) -> Option<(i64, &str)> {
    let (offset, inside) = text.strip_suffix(')')?.split_once('(')?;
    Some((if offset.is_empty() { 0 } else { number(offset)? }, inside))
}

fn x86(text: &str) -> Option<Place> {
    if let Some(value) = text.strip_prefix('$') {
        return number(value).map(Place::Constant);
    }
    let Some((offset, inside)) = bracketed(text) else { return x86_register(text).map(Place::Register) };
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    match parts.as_slice() {
        [base] => Some(Place::Memory(x86_register(base)?, offset)),
        [base, index] => indexed(x86_register(base)?, x86_register(index)?, 1, offset),
        [base, index, scale] => {
            indexed(x86_register(base)?, x86_register(index)?, scale.parse().ok()?, offset)
        }
        _ => None,
    }
}

fn indexed(base: u16, index: u16, scale: u32, offset: i64) -> Option<Place> {
    let is_scale = scale.is_power_of_two() && scale <= 8;
    is_scale.then_some(Place::Indexed { base, index, shift: scale.trailing_zeros() as u8, offset })
}

/// Where registers are in x86-64's `struct pt_regs`, by 8 bytes, and what their parts are called.
const X86: &[(u16, &[&str])] = &[
    (0, &["r15", "r15d", "r15w", "r15b"]),
    (1, &["r14", "r14d", "r14w", "r14b"]),
    (2, &["r13", "r13d", "r13w", "r13b"]),
    (3, &["r12", "r12d", "r12w", "r12b"]),
    (4, &["rbp", "ebp", "bp", "bpl"]),
    (5, &["rbx", "ebx", "bx", "bl"]),
    (6, &["r11", "r11d", "r11w", "r11b"]),
    (7, &["r10", "r10d", "r10w", "r10b"]),
    (8, &["r9", "r9d", "r9w", "r9b"]),
    (9, &["r8", "r8d", "r8w", "r8b"]),
    (10, &["rax", "eax", "ax", "al"]),
    (11, &["rcx", "ecx", "cx", "cl"]),
    (12, &["rdx", "edx", "dx", "dl"]),
    (13, &["rsi", "esi", "si", "sil"]),
    (14, &["rdi", "edi", "di", "dil"]),
    (16, &["rip", "eip"]),
    (19, &["rsp", "esp", "sp", "spl"]),
];

fn x86_register(text: &str) -> Option<u16> {
    let name = text.strip_prefix('%')?;
    // The second byte of four registers has a name of its own.
    let second = [("ah", 10), ("bh", 5), ("ch", 11), ("dh", 12)].into_iter().find(|(n, _)| *n == name);
    if let Some((_, slot)) = second {
        return Some(slot * 8 + 1);
    }
    X86.iter().find(|(_, names)| names.contains(&name)).map(|(slot, _)| slot * 8)
}

fn arm(text: &str) -> Option<Place> {
    let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
        let constant = number(text.strip_prefix('#').unwrap_or(text)).map(Place::Constant);
        return constant.or_else(|| arm_register(text).map(Place::Register));
    };
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    match parts.as_slice() {
        [base] => Some(Place::Memory(arm_register(base)?, 0)),
        [base, offset] => match number(offset.strip_prefix('#').unwrap_or(offset)) {
            Some(offset) => Some(Place::Memory(arm_register(base)?, offset)),
            None => indexed(arm_register(base)?, arm_register(offset)?, 1, 0),
        },
        [base, index, shift] => {
            let by: u32 = shift.strip_prefix("lsl")?.trim().trim_start_matches('#').parse().ok()?;
            indexed(arm_register(base)?, arm_register(index)?, 1u32.checked_shl(by)?, 0)
        }
        _ => None,
    }
}

/// arm64's `struct user_pt_regs`: x0 to x30, then the stack pointer. `w0` is the lower half of `x0`.
fn arm_register(text: &str) -> Option<u16> {
    if text == "sp" {
        return Some(31 * 8);
    }
    let n: u16 = text.strip_prefix(['x', 'w'])?.parse().ok()?;
    (n <= 30).then_some(n * 8)
}

fn s390(text: &str) -> Option<Place> {
    let Some((offset, inside)) = bracketed(text) else {
        return number(text).map(Place::Constant).or_else(|| s390_register(text).map(Place::Register));
    };
    match inside.split_once(',') {
        None => Some(Place::Memory(s390_register(inside)?, offset)),
        Some((index, base)) => indexed(s390_register(base.trim())?, s390_register(index)?, 1, offset),
    }
}

/// s390x's `user_pt_regs`: a word, the program status of two, then r0 to r15.
fn s390_register(text: &str) -> Option<u16> {
    let n: u16 = text.strip_prefix("%r")?.parse().ok()?;
    (n <= 15).then_some(24 + n * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(arch: Arch, text: &str) -> (Place, bool, u8) {
        let arg = parse(arch, text);
        (arg.place, arg.signed, arg.shift)
    }

    #[test]
    fn x86_operands() {
        let x = |text| one(Arch::X86_64, text);
        assert_eq!(x("-4@$-9"), (Place::Constant(-9), true, 32));
        assert_eq!(x("8@%rax"), (Place::Register(80), false, 0));
        assert_eq!(x("-1@%ah"), (Place::Register(81), true, 56));
        assert_eq!(x("2@%r10w"), (Place::Register(56), false, 48));
        assert_eq!(x("-4@-1204(%rbp)"), (Place::Memory(32, -1204), true, 32));
        assert_eq!(x("8@(%rdi)"), (Place::Memory(112, 0), false, 0));
        let sib = Place::Indexed { base: 32, index: 80, shift: 3, offset: -96 };
        assert_eq!(x("1@-96(%rbp,%rax,8)"), (sib, false, 56));
        assert_eq!(x("8@(%rbp,%rax)").0, Place::Indexed { base: 32, index: 80, shift: 0, offset: 0 });
        for strange in ["8f@%xmm0", "8@%xmm0", "16@%rax", "8@sym(%rip)", "8@(%rbp,%rax,3)", "8@", "@", "x@$1"]
        {
            assert_eq!(x(strange).0, Place::Unreadable, "{strange}");
        }
    }

    #[test]
    fn arm_operands() {
        let a = |text| one(Arch::Aarch64, text);
        assert_eq!(a("-4@5"), (Place::Constant(5), true, 32));
        assert_eq!(a("8@x30"), (Place::Register(240), false, 0));
        assert_eq!(a("-4@w1"), (Place::Register(8), true, 32));
        assert_eq!(a("8@sp"), (Place::Register(248), false, 0));
        assert_eq!(a("8@[sp, 24]"), (Place::Memory(248, 24), false, 0));
        assert_eq!(a("8@[x0]"), (Place::Memory(0, 0), false, 0));
        assert_eq!(a("8@[x0, x1, lsl 3]").0, Place::Indexed { base: 0, index: 8, shift: 3, offset: 0 });
        for strange in ["8@v0", "8f@d0", "8@x31", "8@[x0, #:lo12:sym]", "8@[x0, x1, lsl 9]"] {
            assert_eq!(a(strange).0, Place::Unreadable, "{strange}");
        }
    }

    #[test]
    fn s390_operands() {
        let s = |text| one(Arch::S390x, text);
        assert_eq!(s("-4@5"), (Place::Constant(5), true, 32));
        assert_eq!(s("8@%r2"), (Place::Register(40), false, 0));
        assert_eq!(s("8@160(%r15)"), (Place::Memory(144, 160), false, 0));
        assert_eq!(s("8@%r16").0, Place::Unreadable);
    }

    #[test]
    fn blanks_inside_of_brackets_do_not_end_an_operand() {
        assert_eq!(operands("-4@w0 8@[sp, 24]  8@x1"), ["-4@w0", "8@[sp, 24]", "8@x1"]);
        let (args, notes) = parse_for(Arch::X86_64, "4@$1 8@%xmm1 4@$3");
        assert_eq!(args.len(), 3);
        assert_eq!(notes, ["argument 1 (`8@%xmm1`) cannot be read from a BPF program"]);
    }
}
