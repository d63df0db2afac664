// SPDX-License-Identifier: MIT OR Apache-2.0

//! Draws the pictures of the documentation: `make pictures`.

mod address_space;
mod request;
mod svg;

use std::{fs, io, path::Path};

/// Draws a picture.
type Draw = fn() -> String;

/// The pictures: the name of the file, and what draws it.
const PICTURES: &[(&str, Draw)] = &[("request.svg", request::draw), ("address-space.svg", address_space::draw)];

fn main() -> io::Result<()> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, draw) in PICTURES {
        fs::write(place.join(name), draw())?;
        println!("docs/pictures/{name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of all elements of this name.
    fn texts<'a>(document: &'a roxmltree::Document<'_>, name: &str) -> Vec<&'a str> {
        let elements = document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", name)));
        elements.filter_map(|node| node.text()).collect()
    }

    #[test]
    fn every_picture_is_what_its_source_draws() {
        for (name, draw) in PICTURES {
            let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
            assert!(kept == draw(), "docs/pictures/{name} is old: make pictures");
        }
    }

    #[test]
    fn every_picture_is_xml_with_words_for_those_who_do_not_see_it() {
        for (name, draw) in PICTURES {
            let text = draw();
            let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            for element in ["title", "desc"] {
                let [words] = texts(&document, element)[..] else { panic!("{name} has not one {element}") };
                assert!(words.len() > 10, "{name}: {words}");
            }
            assert!(text.contains("prefers-color-scheme: dark"), "{name}");
        }
    }

    #[test]
    fn the_files_that_pictures_name_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut count = 0;
        for (name, draw) in PICTURES {
            let text = draw();
            let document = roxmltree::Document::parse(&text).unwrap();
            for label in texts(&document, "text") {
                let files = label
                    .split([' ', ','])
                    .filter(|word| ["driver/", "userspace/"].iter().any(|directory| word.starts_with(directory)));
                for file in files {
                    assert!(root.join(file).exists(), "{name} names {file}");
                    count += 1;
                }
            }
        }
        assert!(count > 8, "only {count} files");
    }
}
