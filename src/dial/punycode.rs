//! Encodes host names outside ASCII for DNS (RFC 3492): `bücher` becomes `xn--bcher-kva`.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;

/// The domain in ASCII, or `None` where it cannot be encoded. Letters become lower case. The text is
/// expected in composed form (NFC), as keyboards write it.
pub(super) fn to_ascii(domain: &str) -> Option<String> {
    let labels = domain.split('.').map(|label| {
        if label.is_ascii() {
            return Some(label.to_owned());
        }
        let lower: Vec<char> = label.chars().flat_map(char::to_lowercase).collect();
        Some(format!("xn--{}", encode(&lower)?))
    });
    let labels: Option<Vec<String>> = labels.collect();
    Some(labels?.join("."))
}

fn encode(label: &[char]) -> Option<String> {
    let mut encoded: String = label.iter().filter(|sign| sign.is_ascii()).collect();
    let basic = u32::try_from(encoded.len()).ok()?;
    let length = u32::try_from(label.len())
        .ok()
        .filter(|length| *length < 64)?;
    if basic > 0 {
        encoded.push('-');
    }
    let (mut from, mut delta, mut bias, mut done) = (0x80_u32, 0_u32, 72, basic);
    while done < length {
        let next = label
            .iter()
            .map(|sign| u32::from(*sign))
            .filter(|sign| *sign >= from)
            .min()?;
        delta = delta.checked_add((next - from).checked_mul(done + 1)?)?;
        from = next;
        for sign in label.iter().map(|sign| u32::from(*sign)) {
            if sign < from {
                delta = delta.checked_add(1)?;
            }
            if sign == from {
                push(&mut encoded, delta, bias);
                bias = adapt(delta, done + 1, done == basic);
                delta = 0;
                done += 1;
            }
        }
        delta += 1;
        from += 1;
    }
    Some(encoded)
}

/// Appends a variable-length integer.
fn push(encoded: &mut String, mut number: u32, bias: u32) {
    let mut k = BASE;
    loop {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if number < threshold {
            encoded.push(digit(number));
            return;
        }
        let rest = number - threshold;
        encoded.push(digit(threshold + rest % (BASE - threshold)));
        number = rest / (BASE - threshold);
        k += BASE;
    }
}

/// The digits are a to z, then 0 to 9.
fn digit(value: u32) -> char {
    let value = if value < 26 { value + 10 } else { value - 26 };
    char::from_digit(value, BASE).unwrap_or('0')
}

fn adapt(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = delta / if is_first { 700 } else { 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_encoded_as_in_dns() {
        for (domain, ascii) in [
            ("example.com", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            (".münchen.de", ".xn--mnchen-3ya.de"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("straße.de", "xn--strae-oqa.de"),
            // RFC 3492, section 7.1 (L), in lower case.
            ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
        ] {
            assert_eq!(to_ascii(domain).unwrap(), ascii, "{domain}");
        }
        assert_eq!(to_ascii(&"ü".repeat(70)), None);
    }
}
