// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processors' registers, read from outside through the stub that QEMU has for gdb.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};

/// How long the stub may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A conversation with the stub, which has stopped the machine.
#[derive(Debug)]
pub struct Gdb {
    stream: BufReader<UnixStream>,
    /// The stub's own list of its registers, in XML.
    registers: String,
}

impl Gdb {
    /// Begins a conversation with the stub at the other end of `stream`.
    pub fn connect(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut gdb = Self { stream: BufReader::new(stream), registers: String::new() };
        gdb.ask("qSupported:xmlRegisters=aarch64")?;
        let target = gdb.document("target.xml")?;
        for file in target.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let document = gdb.document(file)?;
            gdb.registers.push_str(&document);
        }
        Ok(gdb)
    }

    /// The value of a register of the processor of this number, counted from 0.
    pub fn register(&mut self, processor: usize, name: &str) -> Result<u64> {
        let number = self.number(name).with_context(|| format!("QEMU shows no register {name}"))?;
        let selected = self.ask(&format!("Hg{:x}", processor + 1))?;
        ensure!(selected == "OK", "there is no processor {processor}: {selected}");
        let value = self.ask(&format!("p{number:x}"))?;
        let value = u64::from_str_radix(&value, 16).with_context(|| format!("{name} is {value:?}"))?;
        // In the order of the guest's bytes, which is little-endian.
        Ok(value.swap_bytes())
    }

    fn number(&self, name: &str) -> Option<u32> {
        let attribute = format!("name=\"{name}\"");
        let element = self.registers.split('<').find(|element| element.contains(&attribute))?;
        element.split("regnum=\"").nth(1)?.split('"').next()?.parse().ok()
    }

    /// One of the documents that describe the target, which come in pieces.
    fn document(&mut self, name: &str) -> Result<String> {
        let mut text = String::new();
        loop {
            let piece = self.ask(&format!("qXfer:features:read:{name}:{:x},ffb", text.len()))?;
            let (kind, rest) = piece.split_at_checked(1).context("QEMU describes no registers")?;
            text.push_str(rest);
            match kind {
                "m" => (),
                "l" => return Ok(text),
                _ => bail!("QEMU says {piece:?} of {name}"),
            }
        }
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        let packet = format!("${question}#{:02x}", checksum(question.as_bytes()));
        self.stream.get_mut().write_all(packet.as_bytes()).context("QEMU's stub for gdb is gone")?;
        self.answer().with_context(|| format!("QEMU's stub for gdb, asked {question:?}"))
    }

    fn answer(&mut self) -> Result<String> {
        let mut body = Vec::new();
        // Before it stands the acknowledgement of the question.
        self.stream.read_until(b'$', &mut body)?;
        body.clear();
        self.stream.read_until(b'#', &mut body)?;
        ensure!(body.pop() == Some(b'#'), "it is gone");
        let mut sum = [0; 2];
        self.stream.read_exact(&mut sum)?;
        let sum = std::str::from_utf8(&sum).ok().and_then(|sum| u8::from_str_radix(sum, 16).ok());
        ensure!(sum == Some(checksum(&body)), "its answer is spoilt");
        self.stream.get_mut().write_all(b"+")?;
        Ok(String::from_utf8(unescape(&body))?)
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// In a packet, `}` stands before a byte that was changed so as not to be mistaken for the packet's end.
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
    use super::*;
    use std::{os::unix::net::UnixStream, thread};

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
    fn a_changed_byte_is_changed_back() {
        assert_eq!(unescape(b"a}\x03b"), b"a#b");
    }
}
