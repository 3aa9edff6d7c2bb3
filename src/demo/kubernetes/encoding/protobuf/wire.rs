//! The wire format of protobuf.

/// The encoded value of a field.
#[derive(Clone, Copy)]
pub(super) enum Wire<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub(super) fn is_empty(self) -> bool {
        matches!(self, Wire::Number(0) | Wire::Bytes([]))
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            Wire::Number(_) => Err("it has a number in place of bytes".to_owned()),
        }
    }

    pub(super) fn number(self) -> Result<i64, String> {
        match self {
            Wire::Number(number) => Ok(number),
            Wire::Bytes(_) => Err("it has bytes in place of a number".to_owned()),
        }
    }
}

/// The fields of a message, with their numbers. The iterator ends after an error.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), String>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or_else(|| "the message is cut short or malformed".to_owned()))
    })
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(rest)?.cast_signed()),
        1 => Wire::Bytes(rest.split_off(..8)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Wire::Bytes(rest.split_off(..length)?)
        }
        5 => Wire::Bytes(rest.split_off(..4)?),
        _ => return None,
    };
    Some((tag >> 3, wire))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The first field of a message with this number.
pub(super) fn first_field(bytes: &[u8], number: u64) -> Result<Option<Wire<'_>>, String> {
    for field in fields(bytes) {
        let (field_number, wire) = field?;
        if field_number == number {
            return Ok(Some(wire));
        }
    }
    Ok(None)
}
