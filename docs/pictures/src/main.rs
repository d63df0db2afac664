// SPDX-License-Identifier: MIT OR Apache-2.0

//! Draws the pictures of the documentation: `make pictures`.

mod address_space;
mod chart;
mod request;
mod svg;

use std::{error::Error, fs, path::Path};

use map_protocol::Figures;

/// The directory of the documentation.
fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The figures that the benchmark has kept, by architecture.
fn measured() -> Result<Vec<(String, Figures)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(docs().join("benchmarks"))? {
        let path = entry?.path();
        let (Some(arch), Some("json")) = (path.file_stem(), path.extension().and_then(|text| text.to_str())) else {
            continue;
        };
        let text = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let figures = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        all.push((arch.to_string_lossy().into_owned(), figures));
    }
    // A directory has no order.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(all)
}

/// The pictures: the place of each below [`docs`], and its text.
fn pictures() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut pictures = vec![
        ("pictures/request.svg".into(), request::draw()),
        ("pictures/address-space.svg".into(), address_space::draw()),
    ];
    let chart = |(arch, figures): &(String, Figures)| (format!("benchmarks/{arch}.svg"), chart::draw(arch, figures));
    pictures.extend(measured()?.iter().map(chart));
    Ok(pictures)
}

fn main() -> Result<(), Box<dyn Error>> {
    for (name, text) in pictures()? {
        fs::write(docs().join(&name), text)?;
        println!("docs/{name}");
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
        for (name, text) in pictures().unwrap() {
            let kept = fs::read_to_string(docs().join(&name)).unwrap();
            assert!(kept == text, "docs/{name} is old: make pictures");
        }
    }

    #[test]
    fn every_picture_is_xml_with_words_for_those_who_do_not_see_it() {
        for (name, text) in pictures().unwrap() {
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
        for (name, text) in pictures().unwrap() {
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
