// SPDX-License-Identifier: MIT OR Apache-2.0

//! Properties that hold for any file that is read as a description of registers, for the fuzzer and its corpus.

use devmap::registers::{Description, Item};

/// How much of a description is looked at: an array may have millions of registers in a line.
const MOST: usize = 200;

/// Panics if what is read from `xml` violates a property.
pub(crate) fn check(xml: &[u8]) {
    if let Err(error) = Description::parse_strict("f.svd", xml) {
        check_error(&error.to_string());
    }
    let description = match Description::parse("f.svd", xml) {
        Ok(description) => description,
        Err(error) => return check_error(&error.to_string()),
    };
    for peripheral in description.peripherals().take(MOST) {
        if let Ok(range) = peripheral.range() {
            assert_eq!(range.start(), peripheral.base());
        }
        let _ = peripheral.description();
        for register in peripheral.registers().take(MOST) {
            let register = match register {
                Ok(register) => register,
                Err(error) => {
                    check_error(&error.to_string());
                    break;
                }
            };
            check_register(&description, &register);
        }
    }
    for pattern in ["*", "*.*", "*.*.*", "P?.R*", ""] {
        match description.search_lossy(pattern) {
            Ok(found) => {
                assert!(!found.items.is_empty() || !found.faults.is_empty());
                assert!(found.items.iter().take(MOST).all(|item| !item.path().is_empty()));
                found.faults.iter().take(MOST).for_each(|fault| check_error(&fault.to_string()));
            }
            Err(error) => check_error(&error.to_string()),
        }
    }
}

/// A message names the file, and is lines that can be printed.
fn check_error(message: &str) {
    assert!(!message.is_empty());
    assert!(!message.chars().any(|letter| letter.is_control() && letter != '\n'), "{message:?}");
}

fn check_register(description: &Description, register: &devmap::registers::Register<'_>) {
    let most = register.width().max();
    assert_eq!(Some(register.address()), register.peripheral().base().checked_add(register.offset()));
    assert!(register.reset_value().is_none_or(|value| value <= most));
    // A name may be there twice; then the path is that of one of them, or an error says so.
    if let Ok(item) = description.find(register.path()) {
        assert!(item.path().eq_ignore_ascii_case(register.path()) || matches!(item, Item::Field(_)));
    }
    for value in [0, most, most & 0x5555_5555_5555_5555] {
        let decoded: Vec<_> = register.decode(value).take(MOST).collect();
        assert!(decoded.len() <= register.fields().take(MOST).count());
        let _ = register.hazards(value);
    }
    for field in register.fields().take(MOST) {
        assert!(field.low() <= field.high() && field.high() < register.width().bits(), "{}", field.path());
        assert_eq!(field.mask(), field.max() << field.low());
        assert!(field.mask() <= most && field.get(most) == field.max());
        for number in [0, 1, field.max()] {
            if let Ok(encoded) = field.encode(number) {
                assert_eq!(field.get(encoded), number, "{}", field.path());
                assert_eq!(encoded & !field.mask(), 0);
            }
            let _ = field.value_of(number);
        }
        for value in field.values().take(MOST) {
            assert!(value.number().is_none_or(|number| number <= field.max()), "{}", field.path());
            let _ = (value.name(), value.description(), value.usage(), value.is_default());
        }
    }
}
