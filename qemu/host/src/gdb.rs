// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processors' registers, read from outside through QEMU's gdb stub.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
};

use anyhow::{bail, ensure, Context, Result};

use crate::qmp::ANSWER_TIMEOUT;

/// A connection to the stub of a machine that is stopped.
#[derive(Debug)]
pub struct Gdb {
    stream: BufReader<UnixStream>,
    /// The names of the stub's registers, with their numbers.
    registers: Vec<(String, u32)>,
}

impl Gdb {
    /// Connects to the stub at the other end of `stream`.
    pub fn connect(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut gdb = Self { stream: BufReader::new(stream), registers: Vec::new() };
        gdb.ask("qSupported:xmlRegisters=aarch64,i386")?;
        let target = gdb.document("target.xml")?;
        for file in target.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let document = gdb.document(file)?;
            number(&document, &mut gdb.registers);
        }
        Ok(gdb)
    }

    /// The value of a register of this processor, counted from 0.
    pub fn register(&mut self, processor: usize, name: &str) -> Result<u64> {
        let known = self.registers.iter().find(|(known, _)| known == name);
        let number = known.with_context(|| format!("QEMU shows no register {name}"))?.1;
        let selected = self.ask(&format!("Hg{:x}", processor + 1))?;
        ensure!(selected == "OK", "there is no processor {processor}: {selected}");
        let value = self.ask(&format!("p{number:x}"))?;
        little_endian(&value).with_context(|| format!("{name} is {value:?}"))
    }

    /// One of the documents that describe the target; they arrive in pieces.
    fn document(&mut self, name: &str) -> Result<String> {
        let mut text = String::new();
        loop {
            let piece = self.ask(&format!("qXfer:features:read:{name}:{:x},ffb", text.len()))?;
            let (kind, rest) = piece.split_at_checked(1).context("QEMU describes no registers")?;
            text.push_str(rest);
            match kind {
                "m" => (),
                "l" => return Ok(text),
                _ => bail!("QEMU sends {piece:?} for {name}"),
            }
        }
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        let packet = format!("${question}#{:02x}", checksum(question.as_bytes()));
        self.stream.get_mut().write_all(packet.as_bytes()).context("QEMU's gdb stub is gone")?;
        loop {
            let answer = self.packet().with_context(|| format!("QEMU's gdb stub, asked {question:?}"))?;
            // QEMU before 8.1 also reports, unasked, that the machine has stopped: `T02thread:01;`.
            if !answer.starts_with('T') {
                return Ok(answer);
            }
        }
    }

    fn packet(&mut self) -> Result<String> {
        let mut body = Vec::new();
        // An acknowledgement of the question usually precedes it.
        self.stream.read_until(b'$', &mut body)?;
        body.clear();
        self.stream.read_until(b'#', &mut body)?;
        ensure!(body.pop() == Some(b'#'), "it is gone");
        let mut sum = [0; 2];
        self.stream.read_exact(&mut sum)?;
        let sum = std::str::from_utf8(&sum).ok().and_then(|sum| u8::from_str_radix(sum, 16).ok());
        ensure!(sum == Some(checksum(&body)), "its answer is corrupted");
        self.stream.get_mut().write_all(b"+")?;
        Ok(String::from_utf8(unescape(&body))?)
    }
}

/// Adds the registers of a document to `registers`. A register without a number follows its predecessor.
fn number(document: &str, registers: &mut Vec<(String, u32)>) {
    // Comments do not count; one that is not closed ends the document.
    let (before, rest) = document.split_once("<!--").unwrap_or((document, ""));
    let after = rest.split("<!--").filter_map(|piece| piece.split_once("-->").map(|(_, text)| text));
    for element in std::iter::once(before).chain(after).flat_map(|text| text.split('<')) {
        let Some(attributes) = element.strip_prefix("reg ") else { continue };
        let attribute = |name: &str| attributes.split_once(&format!("{name}=\""))?.1.split('"').next();
        let next = registers.last().map_or(0, |(_, number)| number + 1);
        let number = attribute("regnum").and_then(|text| text.parse().ok()).unwrap_or(next);
        registers.extend(attribute("name").map(|name| (name.to_owned(), number)));
    }
}

/// A number of at most eight bytes, least significant byte first.
fn little_endian(digits: &str) -> Result<u64> {
    ensure!(matches!(digits.len(), 2..=16), "a register of {} digits", digits.len());
    let value = u64::from_str_radix(digits, 16)?;
    Ok(value.swap_bytes() >> (64 - 4 * digits.len()))
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// In a packet, `}` precedes an escaped byte.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter().copied();
    std::iter::from_fn(|| match bytes.next()? {
        b'}' => bytes.next().map(|byte| byte ^ 0x20),
        byte => Some(byte),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixStream, thread};

    use super::*;

    /// A stub that answers each question with the next of `answers`, and gives the questions and its end of the stream.
    fn stub(answers: Vec<&'static str>) -> (UnixStream, thread::JoinHandle<(Vec<String>, impl Read)>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let stub = thread::spawn(move || {
            let mut stream = BufReader::new(theirs);
            let questions = answers.into_iter().fold(Vec::new(), |mut questions, answer| {
                let mut question = Vec::new();
                stream.read_until(b'#', &mut question).unwrap();
                stream.read_exact(&mut [0; 2]).unwrap();
                let text = String::from_utf8_lossy(&question);
                questions.push(text.trim_start_matches('+').trim_matches(['$', '#']).to_owned());
                let packet = format!("+${answer}#{:02x}", checksum(answer.as_bytes()));
                stream.get_mut().write_all(packet.as_bytes()).unwrap();
                questions
            });
            (questions, stream)
        });
        (ours, stub)
    }

    #[test]
    fn a_register_is_found_by_its_name() {
        let (stream, stub) = stub(vec![
            "PacketSize=1000",
            "l<target><xi:include href=\"sys.xml\"/></target>",
            "m<reg name=\"TTBR0_EL1\" bitsize=\"64\" ",
            "lregnum=\"87\" group=\"cp_regs\"/>",
            "OK",
            "0010204000000100",
        ]);
        let mut gdb = Gdb::connect(stream).unwrap();
        assert_eq!(gdb.register(1, "TTBR0_EL1").unwrap(), 0x0001_0000_4020_1000);
        assert_eq!(stub.join().unwrap().0[4..], ["Hg2", "p57"]);
        assert!(gdb.register(0, "TTBR9_EL1").is_err());
    }

    #[test]
    fn that_the_machine_has_stopped_is_no_answer() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        for packet in ["T02thread:01;", "OK"] {
            write!(theirs, "${packet}#{:02x}", checksum(packet.as_bytes())).unwrap();
        }
        let mut gdb = Gdb { stream: BufReader::new(ours), registers: Vec::new() };
        assert_eq!(gdb.ask("Hg1").unwrap(), "OK");
    }

    #[test]
    fn a_register_without_a_number_follows_its_predecessor() {
        let mut registers = Vec::new();
        number("<feature><reg name=\"rax\" regnum=\"0\"/><reg name=\"rbx\"/>", &mut registers);
        number("<!-- <reg name=\"ss_base\"/>\n<reg name=\"ds_base\"/--> <reg name=\"cr3\"/>", &mut registers);
        let expected = [("rax", 0), ("rbx", 1), ("cr3", 2)].map(|(name, number)| (name.to_owned(), number));
        assert_eq!(registers, expected);
    }

    #[test]
    fn a_number_begins_with_its_least_byte() {
        assert_eq!(little_endian("1000006000000000").unwrap(), 0x6000_0010);
        assert_eq!(little_endian("33000000").unwrap(), 0x33);
        assert!(little_endian("").is_err() && little_endian("00000000000000000000").is_err());
    }

    #[test]
    fn a_changed_byte_is_changed_back() {
        assert_eq!(unescape(b"a}\x03b"), b"a#b");
    }
}
