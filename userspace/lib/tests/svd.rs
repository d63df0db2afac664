// SPDX-License-Identifier: MIT OR Apache-2.0

//! Registers by name, from CMSIS-SVD files.

use devmap::registers::Description;

const EXAMPLES: [(&str, &str); 4] = [
    ("pl011.svd", include_str!("../examples/svd/pl011.svd")),
    ("pl031.svd", include_str!("../examples/svd/pl031.svd")),
    ("pl061.svd", include_str!("../examples/svd/pl061.svd")),
    ("edu.svd", include_str!("../examples/svd/edu.svd")),
];

#[test]
fn the_examples_keep_the_schema() {
    for (name, text) in EXAMPLES {
        Description::parse_strict(name, text).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A file of about 5 MB, as those of large microcontrollers: 100 peripherals with 40 registers of 8 fields each, some
/// with values.
fn large() -> String {
    let mut text = String::from("<device><name>large</name><size>32</size><access>read-write</access><peripherals>\n");
    for peripheral in 0..100 {
        let base = 0x4000_0000 + 0x1000 * peripheral;
        text += &format!(
            "  <peripheral>\n    <name>P{peripheral}</name>\n    <description>Peripheral {peripheral}</description>\n    \
             <baseAddress>{base:#x}</baseAddress>\n    <registers>\n"
        );
        for register in 0..40 {
            text += &format!(
                "      <register>\n        <name>R{register}</name>\n        <description>Control register {register} of \
                 it</description>\n        <addressOffset>{:#x}</addressOffset>\n        <resetValue>0x0</resetValue>\n        \
                 <fields>\n",
                4 * register
            );
            for field in 0..5 {
                text += &format!(
                    "          <field>\n            <name>F{field}</name>\n            <description>What the bits of field \
                     {field} do</description>\n            <bitOffset>{}</bitOffset>\n            \
                     <bitWidth>2</bitWidth>\n",
                    4 * field
                );
                if field == 0 {
                    text += "            <enumeratedValues>\n";
                    for value in 0..2 {
                        text += &format!(
                            "              <enumeratedValue><name>V{value}</name><description>Value \
                             {value}</description><value>{value}</value></enumeratedValue>\n"
                        );
                    }
                    text += "            </enumeratedValues>\n";
                }
                text += "          </field>\n";
            }
            text += "        </fields>\n      </register>\n";
        }
        text += "    </registers>\n  </peripheral>\n";
    }
    text + "</peripherals></device>\n"
}

/// The time that opening a large file and finding a register in it takes:
/// `cargo test --release -p devmap --features svd --test svd -- --ignored --nocapture`.
#[test]
#[ignore = "it measures, and checks nothing"]
fn the_time_for_a_large_file() {
    let text = large();
    println!("{} bytes", text.len());
    for _ in 0..3 {
        let begin = std::time::Instant::now();
        let board = Description::parse("large.svd", text.as_str()).unwrap();
        let opened = begin.elapsed();
        board.find("P50.R20.F3").unwrap();
        println!("opened after {opened:?}, found after {:?}", begin.elapsed());
        let begin = std::time::Instant::now();
        Description::parse_strict("large.svd", text.as_str()).unwrap_err();
        println!("strictly after {:?}", begin.elapsed());
    }
}
