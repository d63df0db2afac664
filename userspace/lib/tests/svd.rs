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
