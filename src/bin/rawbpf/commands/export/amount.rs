//! Numbers of maps: whole as long as nothing makes them otherwise.

use std::fmt;

use rawbpf::btf::Value;

use super::cell::Cell;

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    /// Wide enough for the sum of any number of 64-bit numbers.
    Whole(i128),
    Real(f64),
}

impl Amount {
    pub(super) const ZERO: Amount = Amount::Whole(0);

    fn of(value: &Value<'_>) -> Option<Amount> {
        Some(match value {
            Value::Int(n) | Value::Enum { value: n, .. } => Amount::Whole(*n),
            Value::Uint(n) => Amount::Whole(i128::try_from(*n).ok()?),
            Value::Bool(b) => Amount::Whole((*b).into()),
            Value::Char(c) => Amount::Whole((*c).into()),
            Value::Float(f) => Amount::Real(*f),
            // A `__be32`, which counts as an address elsewhere.
            Value::Addr(std::net::IpAddr::V4(ip)) => Amount::Whole(u32::from(*ip).into()),
            _ => return None,
        })
    }

    pub(super) fn plus(self, other: Amount) -> Amount {
        match (self, other) {
            (Amount::Whole(a), Amount::Whole(b)) => Amount::Whole(a.saturating_add(b)),
            (a, b) => Amount::Real(a.real() + b.real()),
        }
    }

    pub(super) fn real(self) -> f64 {
        match self {
            Amount::Whole(n) => n as f64,
            Amount::Real(f) => f,
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.real() == 0.0
    }

    /// As a count: nothing is counted less than never.
    pub(super) fn count(self) -> u128 {
        match self {
            Amount::Whole(n) => n.max(0) as u128,
            Amount::Real(f) => f.max(0.0) as u128,
        }
    }

    pub(super) fn scaled(self, scale: Option<f64>) -> Amount {
        scale.map_or(self, |scale| Amount::Real(scaled(self.real(), scale)))
    }

    /// The number in a cell, summed over the slots of all CPUs. A counter of one CPU that others take away from is
    /// a huge number there; only the sum, once round, means something.
    pub(super) fn sum<'v>(cell: &Cell, key: &[u8], slots: impl Iterator<Item = &'v [u8]>) -> Option<Amount> {
        let each = |slot| Amount::of(&cell.read(key, slot)?);
        let mut sum = Amount::ZERO;
        for slot in slots {
            sum = sum.plus(each(slot)?);
        }
        match sum {
            Amount::Whole(n) if cell.wraps() => Some(Amount::Whole((n as u64).into())),
            sum => Some(sum),
        }
    }
}

/// Multiplies. 1e-9 has no exact binary form and 1e9 has, so by such numbers it divides: 1023 ns are 1.023e-6 s.
pub(super) fn scaled(number: f64, scale: f64) -> f64 {
    let inverse = (1.0 / scale).round();
    let exact = scale.abs() < 1.0 && (inverse * scale - 1.0).abs() < 1e-12;
    if exact { number / inverse } else { number * scale }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Whole(n) => n.fmt(f),
            Amount::Real(x) => float(*x).fmt(f),
        }
    }
}

/// A number that is not whole, so that it reads back as the same one.
pub(super) fn float(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".into(),
        n if n.is_infinite() => if n > 0.0 { "+Inf" } else { "-Inf" }.into(),
        n => format!("{n:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_become_seconds_without_noise() {
        assert_eq!(Amount::Whole(1023).scaled(Some(1e-9)).to_string(), "1.023e-6");
        assert_eq!(Amount::Whole(3).scaled(Some(0.1)).to_string(), "0.3");
        assert_eq!(Amount::Whole(3).scaled(Some(1024.0)).to_string(), "3072.0");
        assert_eq!(Amount::Whole(u64::MAX.into()).to_string(), "18446744073709551615");
    }
}
