//! Words that are numbers: integers, enumerators, pointers, floats.

use super::encode::Writer;
use super::error::{EncodeError, ValueProblem};
use super::word::parse_number;
use super::{Literal, Order, is_char};
use crate::btf::TypeId;
use crate::btf::list::Enumerators;
use crate::btf::resolve::BtfField;
use crate::btf::types::{Int, Type};
use crate::bytes::Endian;
use std::net::Ipv4Addr;

impl Writer<'_, '_> {
    pub(super) fn int(
        &mut self,
        ty: &Type<'_>,
        int: Int,
        order: Order,
        at: BtfField,
        word: &str,
    ) -> Result<(), EncodeError> {
        let mut field = at;
        if at.bit_size == 0 && int.bits != 0 && u32::from(int.bits) < int.size.saturating_mul(8) {
            // Old compilers put the size and place of a bitfield into a type of its own.
            field.bit_size = int.bits.into();
            field.bit_offset = at.bit_offset.saturating_add(int.bit_offset.into());
        }
        let bits = if field.bit_size == 0 { int.size.saturating_mul(8) } else { field.bit_size };
        if let (4, 0, Ok(addr)) = (int.size, field.bit_size, word.parse::<Ipv4Addr>()) {
            return self.bytes(field, &addr.octets());
        }
        let endian =
            if order == Order::Network && field.bit_size == 0 { Endian::Big } else { self.btf.endian() };
        let value = match (word, int.encoding.is_bool()) {
            ("true", true) => 1,
            ("false", true) => 0,
            (_, true) => match parse_number(word) {
                Some(_) => self.checked(field.ty, &Literal::Word(word.into()), 1, false)?,
                None => return Err(self.expected(field.ty, "true or false", &Literal::Word(word.into()))),
            },
            _ => {
                // A `char` is a byte, whatever sign the compiler gives it.
                let signed = int.encoding.is_signed() && (!is_char(ty) || word.starts_with('-'));
                self.checked(field.ty, &Literal::Word(word.into()), bits, signed)?
            }
        };
        self.number_in(field, bits, value, endian)
    }

    /// A number that fits into `bits` bits.
    pub(super) fn checked(
        &self,
        ty: TypeId,
        word: &Literal,
        bits: u32,
        signed: bool,
    ) -> Result<u128, EncodeError> {
        let text = match word {
            Literal::Word(text) => text.as_str(),
            _ => "",
        };
        let Some((negative, magnitude, hex)) = parse_number(text) else {
            return Err(self.expected(ty, "a number", word));
        };
        let most = u128::MAX >> 128u32.saturating_sub(bits).min(127);
        let (min, max) = if signed { (-((most / 2) as i128) - 1, most / 2) } else { (0, most) };
        // All bits may be given in hexadecimal, also for a signed number.
        let fits = if negative {
            magnitude <= min.unsigned_abs()
        } else {
            magnitude <= if hex { most } else { max }
        };
        if !fits {
            return Err(self.fail(ty, ValueProblem::Range { value: text.into(), min, max }));
        }
        Ok(if negative { magnitude.wrapping_neg() } else { magnitude })
    }

    pub(super) fn enumerator(
        &mut self,
        values: Enumerators<'_>,
        field: BtfField,
        word: &str,
    ) -> Result<(), EncodeError> {
        let bits = values.size.saturating_mul(8);
        if let Some(v) = values.iter().find(|v| v.name == word) {
            return self.number(field, bits, v.value as u128);
        }
        if parse_number(word).is_none() {
            let names = values.iter().take(24).map(|v| v.name.to_string()).collect();
            return Err(self.fail(field.ty, ValueProblem::NoSuchName { name: word.into(), names }));
        }
        let width = if field.bit_size == 0 { bits } else { field.bit_size };
        let value = self.checked(field.ty, &Literal::Word(word.into()), width, values.is_signed())?;
        self.number(field, bits, value)
    }

    pub(super) fn pointer(&mut self, field: BtfField, value: &Literal) -> Result<(), EncodeError> {
        let bits = self.btf.pointer_size().saturating_mul(8);
        let number = match value {
            Literal::Word(word) if word == "NULL" || word == "null" => 0,
            other => self.checked(field.ty, other, bits, false)?,
        };
        self.number(field, bits, number)
    }

    pub(super) fn float(&mut self, field: BtfField, size: u32, value: &Literal) -> Result<(), EncodeError> {
        let number = match value {
            Literal::Word(word) => word.parse::<f64>().ok(),
            _ => None,
        };
        match (number, size) {
            (Some(n), 4) if n.is_finite() && (n as f32).is_infinite() => {
                Err(self.expected(field.ty, "a number that four bytes can hold", value))
            }
            (Some(n), 4) => self.number(field, 32, (n as f32).to_bits().into()),
            (Some(n), 8) => self.number(field, 64, n.to_bits().into()),
            (None, 4 | 8) => Err(self.expected(field.ty, "a number", value)),
            _ => match value {
                Literal::List { items, rest } => {
                    let bytes = self.byte_list(field.ty, items, size as usize, *rest)?;
                    self.bytes(field, &bytes)
                }
                other => Err(self.expected(field.ty, "a list of bytes", other)),
            },
        }
    }
}
